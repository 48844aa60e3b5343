#!/bin/sh
# Renews wavesurfer.js (BSD-3-Clause) from the npm registry: sh mpnet_jax/demo/static/vendor/renew.sh 8.0.1
set -eu
version=${1:?name a version, such as 8.0.1}
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
npm pack --silent "wavesurfer.js@$version" > /dev/null
tar -xzf "wavesurfer.js-$version.tgz"
cp package/dist/wavesurfer.esm.js "$here/wavesurfer.js"
cp package/LICENSE "$here/wavesurfer.LICENSE"
printf '%s\n' "$version" > "$here/wavesurfer.version"
