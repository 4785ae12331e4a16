# Makes tables that output checkers may look at: counts up to 7 are suppressed, all others rounded to the nearest 5.
set -eu
mkdir -p output/release

# for_release COLUMN…: reads a CSV with counts in these columns (their numbers), writes it for release.
for_release() {
    awk -F, -v OFS=, -v columns="$*" '
        BEGIN { n = split(columns, column, " ") }
        NR > 1 { for (i = 1; i <= n; i++) $column[i] = $column[i] <= 7 ? "[suppressed]" : 5 * int($column[i] / 5 + 0.5) }
        { print }
    '
}

for_release 2 3 < output/counts_by_age_band.csv > output/release/age_band.csv
for_release 2 3 < output/counts_by_region.csv > output/release/region.csv
{
    echo "month,readings,mean_systolic"
    for file in output/months/*.csv; do
        awk -F, -v OFS=, '
            NR > 1 { month = $4; sum += $5 }
            END { n = NR - 1; mean = n > 7 ? int(sum / n + 0.5) : "[suppressed]"; if (n) print month, n, mean }
        ' "$file"
    done
} | for_release 2 > output/release/month.csv
echo "Suppressed cells: $(cat output/release/*.csv | grep -o suppressed | wc -l)."
