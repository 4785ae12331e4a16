# Invents patients. Usage: generate_patients.sh --config '{"patients": 2000, "seed": 20}'
set -eu

# number_of KEY JSON: the whole number that KEY has in a flat JSON object.
number_of() {
    printf '%s' "$2" | sed -n "s/.*\"$1\": *\([0-9][0-9]*\).*/\1/p"
}

patients=$(number_of patients "$2")
seed=$(number_of seed "$2")
mkdir -p output
echo "Inventing $patients patients from seed $seed."

# Ages fall off towards 100, the south is larger than the islands, older people are checked more often. Every 150th
# record is wrong on purpose, as real records are.
awk -v patients="$patients" -v seed="$seed" '
    BEGIN {
        srand(seed)
        regions = split("North North North South South South South East East West West West Islands", region, " ")
        print "patient_id,age,region,checked_in_month,systolic"
        for (id = 1; id <= patients; id++) {
            one = rand()
            other = rand()
            age = int(100 * (one < other ? one : other))
            where = region[1 + int(rand() * regions)]
            checked = rand() < 0.15 + age / 130
            month = checked ? 1 + int(rand() * 12) : ""
            systolic = checked ? int(95 + age / 2 + 40 * rand()) : ""
            if (id % 150 == 0) age = 100 + id
            print id "," age "," where "," month "," systolic
        }
    }' > output/patients.csv
echo "Wrote $(($(wc -l < output/patients.csv) - 1)) records to output/patients.csv."
