# shellcheck shell=bash
# Sourced by the launchers: `do_it CALL...` runs a call, or prints it, ready to be pasted, after --dry_run.

DRY_RUN=${DRY_RUN:-0}

# Splits a launcher's own options off: sets DRY_RUN and the array TRAIN_FLAGS, what is left for the training command.
take_flags() {
  TRAIN_FLAGS=()
  local word
  for word in "$@"; do
    case $word in
      --dry_run | --dry-run) DRY_RUN=1 ;;
      *) TRAIN_FLAGS+=("$word") ;;
    esac
  done
}

# The variables (NAME=VALUE, before --) and the call, quoted for a shell, on one line.
show() {
  printf '%q ' "$@" | sed 's/ $//'
  printf '\n'
}

do_it() {
  if [ "$DRY_RUN" = 1 ]; then show "$@"; else "$@"; fi
}

refuse() {
  printf 'error: %s\n' "$1" >&2
  exit 2
}

# Older ones, such as macOS's 3.2, take an empty array for a variable that is not set.
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
  refuse "bash $BASH_VERSION is too old; take 4.4 or later (on macOS: brew install bash, then bash $0 ...)"
fi

# Refuses a variable that is no whole number from $2 on.
require_number() {
  [[ ${!1} =~ ^[0-9]+$ ]] && [ "${!1}" -ge "$2" ] || refuse "$1=${!1} must be a whole number of at least $2"
}
