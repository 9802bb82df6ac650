#!/bin/bash
# image: dir: — a directory of the host as the root of a sandbox, under a layer of the session's own
# that is bounded and goes with it; what the sandbox needs is its own whatever the image has there.
# timeout: 180
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
need_root "images"
instance_new
images=$dir/images
mkdir "$images"
gate_new
echo "ceilings: {allowed_context: [$dir/gate], allowed_images: [$images]}" >>"$dir/agentd.yaml"

# A tree of one static program: busybox.
busybox=$(PATH=/usr/bin:/bin command -v busybox) || {
	skip "images" "busybox is not installed"
	exit 0
}
box() {
	local name
	mkdir -p "$images/$1/bin" "$images/$1/var/tmp"
	chmod 1777 "$images/$1/var/tmp"
	cp "$busybox" "$images/$1/bin/busybox"
	for name in sh cat ls id stat dd grep rm mkdir head wc readlink; do ln -s busybox "$images/$1/bin/$name"; done
}
box box
instance_up "the instance starts"

# --- it runs in it ---
install boxed 'id -un; stat -c "%U %a" / /bin/busybox /etc/passwd /var/tmp; ls /; ls -A /proc/self/task | wc -l; cat /etc/hostname' "image: dir:$images/box"
status "an agent runs in a directory" 0 ash agent run boxed
is "as the agent; what is root's on disk is root's inside" "$(head -n 5 <<<"$out" | tr '\n' ';')" "agent;root 755;root 755;root 444;root 1777;"
like "the root is the image's with the sandbox's own" "$(tr '\n' ' ' <<<"$out")" 'bin context dev etc home proc run skills sys tmp var 1 boxed'
like "show names it" "$(ash agent show boxed)" "dir:$images/box"

# --- the layer over it ---
install writes 'echo x >/var/tmp/mine && cat /var/tmp/mine; (echo x >/bin/busybox) 2>/dev/null || echo kept; (echo x >/etc/passwd) 2>/dev/null || echo passwd kept
(echo x >/proc/self/comm) 2>/dev/null || echo proc kept; ls /var/tmp | wc -l' "image: dir:$images/box"
status "an agent writes where the image lets everybody" 0 ash agent run writes
is "and nowhere else" "$(tr '\n' ';' <<<"$out")" "x;kept;passwd kept;proc kept;1;"
is "the image is as it was" "$(ls -A "$images/box/var/tmp")" ""
status "the next session" 0 ash agent run writes
is "finds the image as it was" "$(tail -n 1 <<<"$out")" 1

install both "echo \$SCARAB_TASK >/var/tmp/\$SCARAB_TASK; echo started; $gate_wait ls /var/tmp" "image: dir:$images/box
home: {mode: none}
concurrency: {policy: allow, max: 2}
$gate_context"
gate_shut
first=$(ash agent run both --detach --task one)
second=$(ash agent run both --detach --task two)
for id in "$first" "$second"; do
	check "a session of two runs" eventually 10 eval 'ash session logs "$id" | grep -q started'
done
snapshot_mounts() { grep -c "$images" /proc/self/mountinfo; }
is "no mount of theirs is in the host's" "$(snapshot_mounts)" 0
gate_open
ash session wait "$first"
ash session wait "$second"
is "the first sees what it wrote" "$(ash session logs "$first" | tail -n +2)" one
is "and the second its own" "$(ash session logs "$second" | tail -n +2)" two

# --- bounds ---
install fills 'dd if=/dev/zero of=/var/tmp/big bs=64k count=2000 2>&1 | grep -o "No space left"; stat -c %s /var/tmp/big; rm /var/tmp/big
i=0; while mkdir /var/tmp/d$i 2>/dev/null; do i=$((i + 1)); [ $i -lt 20000 ] || break; done; [ $i -lt 20000 ] && echo inodes end' "image: dir:$images/box"
sed -i '$a defaults: {disk: 4Mi}' "$dir/agentd.yaml"
ash reload >/dev/null
status "an agent that fills its layer goes on" 0 ash agent run fills
like "at the bound in bytes and in inodes" "$(tr '\n' ';' <<<"$out")" '^No space left;4[01][0-9]{5};inodes end;$'

# --- what an image lacks, and where it may lie ---
mkdir -p "$images/empty"
install none 'echo up' "image: dir:$images/empty"
status "an image without a shell: 125" 125 ash agent run none
like "names what is missing" "$err" 'needs /bin/sh, which the image does not have'
cp /bin/ls "$dir/agents/none/none"
status "an image without a loader: 125" 125 ash agent run none
like "names it" "$err" 'needs /lib.*ld-.*, which the image does not have'
is "outcome setup_failed at step agent" "$(latest none '.outcome + " " + .step')" "setup_failed agent"
install inside 'true' "image: dir:$images/box
command: /bin/busybox
args: [echo, from the image]"
is "a command of the image" "$(ash agent run inside)" "from the image"
manifest=$(agent absent 'true' "image: dir:$images/box
command: /bin/absent")
status "a command that the image lacks: 7" 7 ash agent install "$manifest"

manifest=$(agent outside 'true' "image: dir:$dir/agents")
status "an image outside allowed_images: 4" 4 ash agent install "$manifest"
like "says so" "$err" 'ceilings.allowed_images'
ln -s box "$images/link"
manifest=$(agent linked 'true' "image: dir:$images/link")
check "a link is no image" fails ash agent install "$manifest"
manifest=$(agent gone 'true' "image: dir:$images/gone")
check "nor is nothing" fails ash agent install "$manifest"
mv "$images/box" "$images/moved"
status "an image that is gone by the session: 125" 125 ash agent run boxed
is "fails at its step" "$(latest boxed '.outcome + " " + .step')" "setup_failed image"
ln -s /etc "$images/box"
status "a link in its place: 125" 125 ash agent run boxed
like "is not followed" "$err" 'link'
rm "$images/box"
mv "$images/moved" "$images/box"
sed -i "s,allowed_images: \[[^]]*\],allowed_images: [/nowhere]," "$dir/agentd.yaml"
ash reload >/dev/null
status "a ceiling that came later: 125" 125 ash agent run boxed
is "refuses" "$(latest boxed .outcome)" refused
sed -i "s,allowed_images: \[[^]]*\],allowed_images: [$images]," "$dir/agentd.yaml"
ash reload >/dev/null

# --- a hostile image ---
plant() {
	local image=$images/$1 name
	box "$1"
	mkdir -p "$image/planted/"{dev,proc,run,tmp,home/agent}
	command install -m 4755 "$BUILD/tests/escape/image" "$image/planted/setuid"
	cp "$BUILD/tests/escape/image" "$image/escape"
	mknod -m 666 "$image/planted/null" c 1 3 && mknod -m 666 "$image/planted/zero" c 1 5 || return 1
	for name in passwd group hosts resolv.conf nsswitch.conf machine-id; do echo planted >"$image/planted/$name"; done
	for name in planted/dev/null planted/home/agent/file; do echo planted >"$image/$name"; done
}
plant linked
plant filed
for name in dev proc run tmp home; do ln -s "planted/$name" "$images/linked/$name"; done
ln -s planted "$images/linked/etc"
ln -s /planted "$images/linked/context"
mkdir "$images/filed/etc"
for name in passwd group hosts resolv.conf nsswitch.conf machine-id; do ln -s "/planted/$name" "$images/filed/etc/$name"; done
ln -s ../planted "$images/filed/etc/ssl"
for name in dev proc run tmp home skills; do echo planted >"$images/filed/$name"; done
for name in linked filed; do
	unshare -m chroot "--userspec=65534:65534" "$images/$name" /escape >"$dir/control" 2>&1
	check "$name: the program can tell the difference ($(grep -c ^ESCAPED "$dir/control") ways)" grep -q ^ESCAPED "$dir/control"
	install "$name" 'exec /escape' "image: dir:$images/$name"
	before=$(cd "$images/$name" && find . -printf '%P %y %m %U %l\n' | sort | cksum)
	ash agent run "$name" >"$dir/escape" 2>&1
	is "$name: exit status 1" $? 1
	is "$name: nothing of the image is taken for the sandbox's" "$(grep -v ^held "$dir/escape")" ""
	is "$name: every way was tried" "$(grep -c ^held "$dir/escape")" "$(grep -cE '^(held|ESCAPED)' "$dir/control")"
	is "$name: the image is as it was" "$(cd "$images/$name" && find . -printf '%P %y %m %U %l\n' | sort | cksum)" "$before"
done
install through 'true' "image: dir:$images/linked
context: [{source: $dir/gate, target: /context/gate}]"
status "a context upon what the image has as a link" 0 ash agent run through
ln -s planted "$images/linked/data"
install through 'true' "image: dir:$images/linked
context: [{source: $dir/gate, target: /data/gate}]"
status "but through a link of the image: 125" 125 ash agent run through
like "it is refused" "$err" 'on the way there the image has a link'

# --- the host's own programs, as an image of files ---
mkdir -p "$images/host/"{etc,tmp,usr/bin,var/tmp}
if python=$(readlink -f "$(PATH=/usr/bin:/bin command -v python3)"); then
	# What a program of the host needs: itself, its libraries, its modules.
	copies() { ldd "$1" | grep -oE '/[^ ]+'; }
	{ echo "$python"; readlink -f /bin/sh; copies "$python"; copies "$(readlink -f /bin/sh)"
	for module in /usr/lib/python3*/lib-dynload/*.so; do copies "$module"; done; } | sort -u >"$dir/files"
	tar -C / -chf - --ignore-failed-read -T <(sed 's,^/,,' "$dir/files") | tar -C "$images/host" -xf -
	mkdir -p "$images/host/usr/lib"
	cp -r /usr/lib/python3* "$images/host/usr/lib/"
	[ -e "$images/host/bin/sh" ] || { mkdir -p "$images/host/bin"; cp "$(readlink -f /bin/sh)" "$images/host/bin/sh"; }
	install python 'exec '"$python"' -c "
import ssl, pwd, tempfile, socket
print(pwd.getpwuid(1000).pw_name, len(ssl.create_default_context(cafile=\"/etc/ssl/certs/ca-certificates.crt\").get_ca_certs()) > 0, tempfile.mkdtemp()[:5], socket.gethostbyname(\"localhost\"))"' "image: dir:$images/host"
	want="agent True /tmp/ 127.0.0.1"
	[ -e /etc/ssl/certs/ca-certificates.crt ] || skip "the host's certificates" "ca-certificates is not installed"
	is "python3 with its libraries as an image: users, certificates, names" "$(ash agent run python 2>&1)" "$want"
else
	skip "python3 with its libraries as an image" "it is not installed"
fi
install tls 'exec python3 -c "import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 0)"'
is "image host has the host's certificates" "$(ash agent run tls)" True

# --- nothing is left ---
install up 'echo started; exec /bin/busybox sleep 1000' "image: dir:$images/box"
eventually 10 eval '[ -z "$(ls "$dir/state/sessions")" ]'
snapshot_take
id=$(ash agent run up --detach)
check "a session runs" eventually 10 eval 'ash session logs "$id" | grep -q started'
kill -KILL "$(daemon runnerd)"
check "runnerd comes back" eventually 10 ash ping
status "its session goes on and can be cancelled" 0 ash session cancel "$id"
ash session wait "$id"
is "as cancelled" "$(ash --json session show "$id" | jq -r .outcome)" cancelled
settled_fds "kill -9 of runnerd beside an image: nothing leaks"
