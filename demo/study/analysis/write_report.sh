# Writes one page with the chart and the released tables.
set -eu

# table FILE HEADING: a released CSV as a table of HTML.
table() {
    awk -F, -v heading="$2" '
        BEGIN { print "<h2>" heading "</h2>\n<table>" }
        { cell = NR == 1 ? "th" : "td"; printf "<tr>"; for (i = 1; i <= NF; i++) printf "<%s>%s</%s>", cell, $i, cell; print "</tr>" }
        END { print "</table>" }
    ' "$1"
}

{
    echo '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Blood pressure checks</title>'
    echo '<style>body{font:16px sans-serif;margin:2em}td,th{padding:.2em 1em;text-align:right}</style></head><body>'
    echo '<h1>Who has their blood pressure checked?</h1>'
    echo '<p>Invented patients. Counts up to 7 are suppressed, all others rounded to the nearest 5.</p>'
    cat output/release/age_band.svg
    table output/release/age_band.csv "By age band"
    table output/release/region.csv "By region"
    table output/release/month.csv "By month"
    echo "<p>Check: $(cat output/check.txt)</p></body></html>"
} > output/report.html
echo "Wrote output/report.html."
