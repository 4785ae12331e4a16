# Drops records with an impossible age and gives each of the others an age band.
set -eu
awk -F, -v OFS=, '
    NR == 1 { print $0, "age_band"; next }
    $2 > 110 { dropped++; next }
    {
        band = $2 < 18 ? "0-17" : $2 < 40 ? "18-39" : $2 < 65 ? "40-64" : $2 < 80 ? "65-79" : $2 < 95 ? "80-94" : "95+"
        print $0, band
    }
    END { print "Dropped " dropped + 0 " records with an impossible age, kept " NR - 1 - dropped "." > "/dev/stderr" }
' output/patients.csv > output/clean.csv
