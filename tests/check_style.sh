#!/bin/sh
# check_style.sh - what can be checked of the house style: include arrows, sizes, banned functions,
# one header for each file, luacheck. Prints what is wrong; exit code 1 then.
set -u
cd "$(dirname "$0")/.."
bad=0
say() { echo "$*"; bad=1; }

# the only direction an #include may point: room -> rooms it may include
allowed() {
  case "$1" in
  base) echo "base" ;;
  loop) echo "base loop" ;;
  tensor) echo "base tensor" ;;
  model) echo "base tensor model" ;;
  sheet) echo "base sheet" ;;
  http|db|cloud|stream) echo "base loop $1" ;;
  script) echo "base loop script" ;;
  bind) echo "base loop script http db cloud sheet stream tensor model bind" ;;
  role) echo "base loop script bind role" ;;
  main.c) echo "role" ;;
  esac
}
for f in $(git ls-files 'core/*.c' 'core/*.h'); do
  room=$(echo "$f" | cut -d/ -f2)
  ok=" $(allowed "$room") "
  for target in $(sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$f"); do
    case "$ok" in *" $target "*) ;; *) say "$f: $room may not include $target" ;; esac
  done
  lines=$(wc -l <"$f"); limit=600
  case "$f" in core/tensor/kern*) limit=800 ;; esac
  [ "$lines" -le $limit ] || say "$f: $lines lines, limit $limit"
  case "$room" in
  script|bind|role) ;;
  *) grep -qE '#include <(lua|lauxlib|lualib)\.h>' "$f" && say "$f: Lua is visible in script/ and bind/ only" ;;
  esac
  grep -nE '(^|[^a-zA-Z_>.])(strcpy|strcat|sprintf|strtok|gets|atoi|rand)\(' "$f" /dev/null && say "$f: banned function"
  case "$f" in core/main.c) ;; *)
    grep -nE '(^|[^a-zA-Z_>."])(exit|abort)\(' "$f" /dev/null && say "$f: ends the process" ;; esac
  [ "$(head -c 2 "$f")" = "/*" ] || say "$f: no comment at the top"
done
for f in $(git ls-files 'lua/*.lua' 'workflows/*.lua'); do
  lines=$(wc -l <"$f")
  [ "$lines" -le 400 ] || say "$f: $lines lines, limit 400"
  [ "$(head -c 2 "$f")" = "--" ] || say "$f: no comment at the top"
done
if command -v luacheck >/dev/null; then
  luacheck -q --no-color --std lua54 --max-line-length 120 --globals arg traceback --read-globals \
    arg traceback -- lua workflows tests/lua >"${TMPDIR:-/tmp}/luacheck.$$" 2>&1 || { cat "${TMPDIR:-/tmp}/luacheck.$$"; bad=1; }
  rm -f "${TMPDIR:-/tmp}/luacheck.$$"
fi
if git grep -nIE '(^|[^a-zA-Z])(TODO|FIXME|XXX)([^a-zA-Z]|$)' -- core lua workflows schema; then say "unfinished marks"; fi
[ $bad = 0 ] && echo "style: ok"
exit $bad
