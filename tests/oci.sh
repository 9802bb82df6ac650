# shellcheck shell=bash
# Image layouts made by hand, sourced by tests that need some.
#
#   oci_layer TAR DIR            the tree DIR as a layer, with its ids, as a tar
#   oci_image DIR CONFIG TAR…    a layout in DIR of these layers, the lowest first; CONFIG: the image's
#                                config as JSON; $oci_architecture: amd64 where it is not set
#   oci_tag DIR TAG CONFIG TAR…  one more image in that layout, under a tag

oci_layer() { tar -C "$2" --numeric-owner --sort=name --mtime=@0 -cf "$1" .; }

# oci_blob DIR FILE: puts the file into the layout; prints its digest.
oci_blob() {
	local hash
	hash=$(sha256sum <"$2") hash=${hash%% *}
	cp "$2" "$1/blobs/sha256/$hash"
	echo "$hash"
}

# oci_manifest DIR CONFIG TAR…: prints the descriptor of the manifest.
oci_manifest() {
	local layout=$1 config=$2 layers='' diffs='' hash tar
	shift 2
	for tar; do
		hash=$(oci_blob "$layout" "$tar")
		diffs+=${diffs:+,}\"sha256:$hash\"
		layers+="${layers:+,}{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"sha256:$hash\",\"size\":$(stat -c %s "$tar")}"
	done
	printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":[%s]}}' "${oci_architecture:-amd64}" "$config" "$diffs" >"$layout/config.new"
	hash=$(oci_blob "$layout" "$layout/config.new")
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[%s]}' \
	    "$hash" "$(stat -c %s "$layout/config.new")" "$layers" >"$layout/manifest.new"
	hash=$(oci_blob "$layout" "$layout/manifest.new")
	printf '"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s' "$hash" "$(stat -c %s "$layout/manifest.new")"
	rm "$layout/config.new" "$layout/manifest.new"
}

oci_image() {
	local layout=$1 manifest
	mkdir -p "$layout/blobs/sha256"
	echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
	manifest=$(oci_manifest "$@")
	printf '{"schemaVersion":2,"manifests":[{%s}]}' "$manifest" >"$layout/index.json"
}

oci_tag() {
	local layout=$1 tag=$2 manifest rest
	shift 2
	manifest=$(oci_manifest "$layout" "$@")
	rest=$(jq -c --arg tag "$tag" '[.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] != $tag)]' "$layout/index.json")
	jq -c -n --argjson rest "$rest" --argjson new "{$manifest,\"annotations\":{\"org.opencontainers.image.ref.name\":\"$tag\"}}" \
	    '{schemaVersion: 2, manifests: ($rest + [$new])}' >"$layout/index.new"
	mv "$layout/index.new" "$layout/index.json"
}
