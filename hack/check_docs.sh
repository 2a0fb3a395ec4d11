#!/usr/bin/env bash
# Fails where what is cited is not in the repository: rows of
# tests/security/catalogue.md that comments, tests and guards name, tests and
# files that it names, files and headings of ARCHITECTURE.md.
set -euo pipefail
cd "$(dirname "$0")/.."
catalogue=tests/security/catalogue.md
design=ARCHITECTURE.md
folders='runtime shim api tests hack deploy'
bad=0
fail() { echo "check_docs: $1" >&2; bad=1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Rows A1 to J6, and the invariants as I1 to I20, which tests call them.
{
  sed -nE 's/^\| ([A-J][0-9]+) \|.*/\1/p' $catalogue
  sed -nE 's/^\| ([0-9]+) \|.*/I\1/p' $catalogue
} | sort -u >"$work/rows"
# A number that is left out, or there twice, is a slip.
sed -nE 's/^\| ([A-J]?)([0-9]+) \|.*/\1 \2/p' $catalogue | awk '
  NF == 1 { $2 = $1; $1 = "" }
  $2 != ++last[$1] { print "check_docs: row " $1 $2 " stands where " $1 last[$1] " should"; bad = 1; exit }
  END { exit bad }' >&2 || bad=1

# Tests, as "FILE Suite.Name"; the macro's arguments may be on two lines.
# shellcheck disable=SC2086
find tests -name '*.cc' -exec awk '
  FNR == 1 { begun = "" }
  { line = begun $0; begun = "" }
  match(line, /TEST(_[FP])?\([A-Za-z0-9]+, *[A-Za-z0-9]+/) {
    words = substr(line, RSTART, RLENGTH)
    sub(/.*\(/, "", words)
    sub(/, */, ".", words)
    print FILENAME, words
    next
  }
  line ~ /TEST(_[FP])?\(([A-Za-z0-9]+,)? *$/ { begun = line }' {} + \
  >"$work/tests"

# Comments that cite rows, one a line, also where they go over several; numbers
# of sections are no rows.
cited_in_comments() {
  # shellcheck disable=SC2086
  { grep -rlI '[Cc]atalogue' $folders; grep -rlI '^// Rows\? ' tests/security; } |
    sort -u | while IFS= read -r file; do
    [[ $file != "$catalogue" && $file != hack/check_docs.sh ]] || continue
    sed -E 's#^ *(//|\#) *##' "$file" | tr '\n' ' ' |
      sed -E 's/\b([Cc]atalogue|Rows?)\b/\n&/g' |
      sed -nE '/^([Cc]atalogue|Rows?)/{
        s/^([^):;]{0,60}).*/\1/; s/\. .*//
        s/invariants? ([0-9]+)/I\1/; s/(atalogue|section) [0-9].*/\1 Z0/
        p}' |
      awk -v file="$file" '{
        while (match($0, /[^A-Za-z0-9][A-JZ][0-9]+/)) {
          print file, substr($0, RSTART + 1, RLENGTH - 1)
          $0 = substr($0, RSTART + RLENGTH)
        } }'
  done
}
# Leading ids of names such as C11AndC12HomeIsNoLine and I8I9I19AnExecIs.
cited_by_tests() {
  sed -nE 's#^(tests/security/[^ ]+) [A-Za-z0-9]+\.(([A-J][0-9]+(And)?)+).*#\1 \2#p' \
    "$work/tests" | sed -E 's/And//g; s/([0-9])([A-J])/\1 \2/g' |
    awk '{ for (i = 2; i <= NF; ++i) print $1, $i }'
}
cited_in_tables() {
  local guards=tests/security/guards.toml
  sed -nE 's/^name = "(([A-J][0-9]+ )+).*/\1/p' $guards | tr ' ' '\n' |
    grep . | sed "s#^#$guards #"
  grep -hoE '^ +\{"[A-J][0-9]+"' tests/security/*_rows.cc | tr -d ' {"' |
    sed 's#^#tests/security/*_rows.cc #'
  local table=tests/security/invariants/table.toml
  grep -E '^rows' $table | grep -oE '[A-J][0-9]+' | sed "s#^#$table #"
}
while read -r file row; do
  [[ $row != Z0 ]] || row="by the number of a section"
  fail "$file cites row $row, which $catalogue lacks"
done < <({ cited_in_comments; cited_by_tests; cited_in_tables; } | sort -u |
  awk 'FNR == NR { known[$1] = 1; next } !($2 in known)' "$work/rows" -)

# The last column but one of invariants, the last of rows: parts separated by
# "; ", each "FILE", "FILE: NAME...", "not yet: WORDS" or "none: WORDS".
sed -nE 's/^\| ([A-J][0-9]+) \|.*\| (.*) \|$/\1|\2/p
  s/^\| ([0-9]+) \| [^|]*\| ([^|]*) \|.*$/I\1|\2/p' $catalogue |
  awk -F'|' '{ n = split($2, parts, "; "); if (!n) print $1, "nothing"
    for (i = 1; i <= n; ++i) print $1, parts[i] }' >"$work/parts"
awk '
  FNR == NR { known[$1 " " $2] = 1; next }
  $2 ~ /^(not|none:)$/ { next }
  {
    path = $2
    sub(/:$/, "", path)
    path = path ~ /^\.\.\// ? substr(path, 4) : "tests/" path
    print "file", $1, path, ""
    for (i = 3; i <= NF; ++i) {
      if ($i !~ /\./) print "function", $1, path, $i
      else if (!((path " " $i) in known)) print "test", $1, path, $i
    }
  }' "$work/tests" "$work/parts" | sort -u >"$work/named"
while read -r what row path name; do
  case $what in
    file) [[ -f $path ]] || fail "row $row names $path, which is not there" ;;
    test) fail "row $row: no $name in $path" ;;
    function) grep -qE "\b$name\(" "$path" || fail "row $row: no $name in $path" ;;
  esac
done <"$work/named"

# The tests that rows_test.cc counts are those of the catalogue.
cat tests/security/*_rows.cc | tr -d '\n' |
  grep -oE '\{"[A-J][0-9]+", *"[A-Za-z0-9]+\.[A-Za-z0-9]+"' |
  sed -E 's/\{"([^"]+)", *"([^"]+)"/\1 \2/' >"$work/counted"
while read -r row name; do
  fail "row $row of the tests has $name, that of $catalogue has not"
done < <(awk '
  FNR == NR { for (i = 3; i <= NF; ++i) known[$1 " " $i] = 1; next }
  !(($1 " " $2) in known)' "$work/parts" "$work/counted")

# Files that ARCHITECTURE.md names, in backticks; * is the shell's.
while IFS= read -r path; do
  compgen -G "$path" >/dev/null || fail "$design names $path, which is not there"
done < <(grep -oE '`[^`]+`' $design | tr -d '`' |
  grep -E "^(${folders// /|})/[^ ]+$|^[A-Z]+\.md$" | sort -u)

# Each step of a table is told of there.
while IFS= read -r step; do
  grep -qF "\`$step\`" $design || fail "$design does not name the step $step"
done < <(grep -hoE '^ +\{"[a-z]+(-[a-z]+)+", [A-Za-z:]+\},' runtime/keeper/*.cc |
  cut -d'"' -f2 | sort -u)

# Headings of it that are cited: ARCHITECTURE.md, "Heading".
while IFS= read -r heading; do
  grep -qxE "#+ $heading" $design || fail "a citation of $design, \"$heading\": no such heading"
done < <(git grep -hI "ARCHITECTURE.md" -- ':!hack/check_docs.sh' |
  grep -oE 'ARCHITECTURE\.md, "[^"]+"' | sed -E 's/.*"(.*)"/\1/' | sort -u)

# Pages that are not in the repository.
if git grep -nIE '\b(DESIGN|NEXT|ROADMAP)\b(\.md)?[:, ]|\bstyle\.md|\.\./shared/' -- \
  . ':!hack/check_docs.sh' >&2; then
  fail "these lines cite what is not in the repository"
fi
exit "$bad"
