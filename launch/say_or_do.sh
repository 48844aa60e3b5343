# shellcheck shell=bash
# Sourced by the launchers. `do_it COMMAND...` runs a command, or prints it for pasting after --dry_run.

DRY_RUN=${DRY_RUN:-0}

# Sets DRY_RUN, and the array TRAIN_FLAGS to all other arguments.
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

# Prints a command on one line, quoted for a shell.
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

# Older versions, such as macOS's 3.2, treat an empty array as an unset variable.
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
  refuse "bash $BASH_VERSION is too old; take 4.4 or later (on macOS: brew install bash, then bash $0 ...)"
fi

# Refuses a variable that is not a whole number of at least $2.
require_number() {
  [[ ${!1} =~ ^[0-9]+$ ]] && [ "${!1}" -ge "$2" ] || refuse "$1=${!1} must be a whole number of at least $2"
}
