# Counts patients, and those whose blood pressure was checked, by one column. Usage: count_by.sh COLUMN
set -eu
column=$1
{
    echo "$column,patients,checked"
    awk -F, -v OFS=, -v column="$column" '
        NR == 1 { for (i = 1; i <= NF; i++) place[$i] = i; next }
        { group = $place[column]; patients[group]++; if ($place["checked_in_month"] != "") checked[group]++ }
        END { for (group in patients) print group, patients[group], checked[group] + 0 }
    ' output/clean.csv | sort -t, -k1,1n -k1,1
} > "output/counts_by_$column.csv"
cat "output/counts_by_$column.csv"
