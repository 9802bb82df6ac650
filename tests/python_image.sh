# shellcheck shell=bash
# The host's Python as a tree for an image, sourced by tests that need one.
#
#   python_tree DIR     /usr/bin/python3, its standard library and the libraries that it needs

python_libraries() {
	local tree=$1 file
	shift
	for file in /usr/bin/python3 $(ldd "$@" 2>/dev/null | awk '$3 ~ "^/" { print $3 } $1 ~ "^/" && $1 !~ ":$" { print $1 }' | sort -u); do
		mkdir -p "$tree${file%/*}"
		cp -L "$file" "$tree$file"
	done
}

python_tree() {
	local library
	library=$(/usr/bin/python3 -I -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
	mkdir -p "$1$library"
	tar -C "$library" --exclude=__pycache__ --exclude=./test --exclude=./dist-packages --exclude=./idlelib --exclude=./config-* \
	    --exclude=./ensurepip --exclude=./lib2to3 --exclude=./pydoc_data -cf - . | tar -C "$1$library" -xf -
	python_libraries "$1" /usr/bin/python3 "$library"/lib-dynload/*.so
}
