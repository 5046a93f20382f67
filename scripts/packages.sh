# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced: install_packages FILE... installs the Debian packages named in the files (one a line, # comments) that are missing.
# PACKAGE?COMMAND is wanted only where there is no such command yet: it may come from elsewhere than Debian.
install_packages() {
    local wanted missing=() package
    wanted=$(sed -e 's/#.*//' "$@" | tr -s ' \t\n' ' ')
    for package in $wanted; do
        [[ $package == *\?* ]] && command -v "${package#*\?}" >/dev/null && continue
        package=${package%%\?*}
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    echo "installing: ${missing[*]}"
    local run=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "error: not root and no sudo: install these packages first: ${missing[*]}" >&2; return 1; }
        run=(sudo)
    fi
    "${run[@]}" apt-get update -qq &&
        "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
