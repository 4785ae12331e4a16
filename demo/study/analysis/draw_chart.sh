# Draws a bar chart of a released table: the share of patients who were checked. Usage: draw_chart.sh TABLE CHART
set -eu
awk -F, -v bar=28 -v gap=12 -v left=90 -v wide=400 '
    NR == 1 { title = "Blood pressure checked, by " $1; sub("_", " ", title); next }
    { name[++rows] = $1; share[rows] = ($2 ~ /^[0-9]+$/ && $3 ~ /^[0-9]+$/) ? $3 / $2 : -1; if (share[rows] > 1) share[rows] = 1 }
    END {
        height = 50 + rows * (bar + gap)
        printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\">\n", left + wide + 110, height
        printf "<title>%s</title>\n<text x=\"10\" y=\"26\" font-size=\"18\">%s</text>\n", title, title
        for (i = 1; i <= rows; i++) {
            y = 44 + (i - 1) * (bar + gap)
            printf "<text x=\"%d\" y=\"%d\" font-size=\"14\" text-anchor=\"end\">%s</text>\n", left - 10, y + 19, name[i]
            length_of_bar = share[i] < 0 ? 0 : int(share[i] * wide + 0.5)
            label = share[i] < 0 ? "too few to show" : int(share[i] * 100 + 0.5) "%"
            printf "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#2b6cb0\"/>\n", left, y, length_of_bar, bar
            printf "<text x=\"%d\" y=\"%d\" font-size=\"14\">%s</text>\n", left + length_of_bar + 8, y + 19, label
        }
        print "</svg>"
    }' "$1" > "$2"
echo "Drew $2."
