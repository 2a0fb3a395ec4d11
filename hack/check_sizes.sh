#!/usr/bin/env bash
# Fails for a source file or function over the limits of CONTRIBUTING.md:
# .cc 500 lines, test 600, .h 250, main.cc and the root CMakeLists.txt 150,
# a function 60 lines, a line 80 columns.
set -euo pipefail
cd "$(dirname "$0")/.."

bad=0
complain() { echo "$1" >&2; bad=1; }

limit_of() {
  case $1 in
    tests/*.cc) echo 600 ;;
    *main.cc | CMakeLists.txt) echo 150 ;;
    *.h) echo 250 ;;
    *) echo 500 ;;
  esac
}

while read -r file; do
  lines=$(wc -l <"$file")
  limit=$(limit_of "$file")
  ((lines <= limit)) || complain "$file: $lines lines, limit $limit"
done < <(git ls-files '*.cc' '*.h' CMakeLists.txt | grep -E '\.(cc|h)$|^CMakeLists')

# A function starts at a line without indent that ends in "{" and has a
# parameter list, and ends at the next "}" without indent.
long=$(git ls-files -z '*.cc' | xargs -0 awk '
  FNR == 1 { start = 0; name = "" }
  /^[A-Za-z_].*\($/ || /^[A-Za-z_].*\(.*[,{]$/ { if (!start) { start = FNR; name = $0 } }
  /^(namespace|struct|class|enum|extern|using|constexpr|const )/ { start = 0 }
  /^}/ {
    if (start && FNR - start + 1 > 60)
      printf "%s:%d: function of %d lines, limit 60\n", FILENAME, start, FNR - start + 1
    start = 0
  }
  length($0) > 80 { printf "%s:%d: %d columns, limit 80\n", FILENAME, FNR, length($0) }
')
[[ -z $long ]] || complain "$long"
exit "$bad"
