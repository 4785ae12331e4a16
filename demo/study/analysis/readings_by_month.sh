# Writes one file of readings for each month, and says how far it is: watch its log while it runs.
set -eu
mkdir -p output/months
for month in 01 02 03 04 05 06 07 08 09 10 11 12; do
    file=output/months/month-$month.csv
    awk -F, -v month="${month#0}" 'NR == 1 || $4 == month' output/clean.csv > "$file"
    echo "month $month of 12: $(($(wc -l < "$file") - 1)) readings"
    sleep 0.1
done
