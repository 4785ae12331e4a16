# Looks at the released tables as an output checker would, and fails if a small number slipped through.
set -eu
awk -F, '
    FNR == 1 { columns[FILENAME] = $0; next }
    { for (i = 2; i <= NF; i++) { cells++; if ($i ~ /^[0-9]+$/ && $i <= 7) { small++; print FILENAME ": " $0 } } }
    END {
        for (name in columns) if (columns[name] ~ /patient_id/) { print name " names patients."; small++ }
        print cells " cells looked at, " small + 0 " of them too small."
        exit small > 0
    }' output/release/*.csv > output/check.txt || { cat output/check.txt; exit 1; }
cat output/check.txt
