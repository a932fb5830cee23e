/* See twin.h. Every number is a function of (country, date, version): no state, no clock. */
#include "cluster-tests/sales/twin.h"

#include "cluster-tests/sales/noise.h"
#include "proto/bytes.h"
#include "proto/type.h"

#define DATES_FIRST 380
#define SEED        UINT64_C(20210205)

static const char *const countries[] = {
    "Afghanistan",
    "Albania",
    "Algeria",
    "Andorra",
    "Angola",
    "Antigua and Barbuda",
    "Argentina",
    "Armenia",
    "Australia",
    "Austria",
    "Azerbaijan",
    "Bahamas",
    "Bahrain",
    "Bangladesh",
    "Barbados",
    "Belarus",
    "Belgium",
    "Belize",
    "Benin",
    "Bhutan",
    "Bolivia",
    "Bosnia and Herzegovina",
    "Botswana",
    "Brazil",
    "Brunei",
    "Bulgaria",
    "Burkina Faso",
    "Burma",
    "Burundi",
    "Cabo Verde",
    "Cambodia",
    "Cameroon",
    "Canada",
    "Central African Republic",
    "Chad",
    "Chile",
    "China",
    "Colombia",
    "Comoros",
    "Congo (Brazzaville)",
    "Congo (Kinshasa)",
    "Costa Rica",
    "Cote d'Ivoire",
    "Croatia",
    "Cuba",
    "Cyprus",
    "Czechia",
    "Denmark",
    "Diamond Princess",
    "Djibouti",
    "Dominica",
    "Dominican Republic",
    "Ecuador",
    "Egypt",
    "El Salvador",
    "Equatorial Guinea",
    "Eritrea",
    "Estonia",
    "Eswatini",
    "Ethiopia",
    "Fiji",
    "Finland",
    "France",
    "Gabon",
    "Gambia",
    "Georgia",
    "Germany",
    "Ghana",
    "Greece",
    "Grenada",
    "Guatemala",
    "Guinea",
    "Guinea-Bissau",
    "Guyana",
    "Haiti",
    "Holy See",
    "Honduras",
    "Hungary",
    "Iceland",
    "India",
    "Indonesia",
    "Iran",
    "Iraq",
    "Ireland",
    "Israel",
    "Italy",
    "Jamaica",
    "Japan",
    "Jordan",
    "Kazakhstan",
    "Kenya",
    "Korea, South",
    "Kosovo",
    "Kuwait",
    "Kyrgyzstan",
    "Laos",
    "Latvia",
    "Lebanon",
    "Lesotho",
    "Liberia",
    "Libya",
    "Liechtenstein",
    "Lithuania",
    "Luxembourg",
    "MS Zaandam",
    "Madagascar",
    "Malawi",
    "Malaysia",
    "Maldives",
    "Mali",
    "Malta",
    "Marshall Islands",
    "Mauritania",
    "Mauritius",
    "Mexico",
    "Micronesia",
    "Moldova",
    "Monaco",
    "Mongolia",
    "Montenegro",
    "Morocco",
    "Mozambique",
    "Namibia",
    "Nepal",
    "Netherlands",
    "New Zealand",
    "Nicaragua",
    "Niger",
    "Nigeria",
    "North Macedonia",
    "Norway",
    "Oman",
    "Pakistan",
    "Panama",
    "Papua New Guinea",
    "Paraguay",
    "Peru",
    "Philippines",
    "Poland",
    "Portugal",
    "Qatar",
    "Romania",
    "Russia",
    "Rwanda",
    "Saint Kitts and Nevis",
    "Saint Lucia",
    "Saint Vincent and the Grenadines",
    "Samoa",
    "San Marino",
    "Sao Tome and Principe",
    "Saudi Arabia",
    "Senegal",
    "Serbia",
    "Seychelles",
    "Sierra Leone",
    "Singapore",
    "Slovakia",
    "Slovenia",
    "Solomon Islands",
    "Somalia",
    "South Africa",
    "South Sudan",
    "Spain",
    "Sri Lanka",
    "Sudan",
    "Suriname",
    "Sweden",
    "Switzerland",
    "Syria",
    "Taiwan*",
    "Tajikistan",
    "Tanzania",
    "Thailand",
    "Timor-Leste",
    "Togo",
    "Trinidad and Tobago",
    "Tunisia",
    "Turkey",
    "US",
    "Uganda",
    "Ukraine",
    "United Arab Emirates",
    "United Kingdom",
    "Uruguay",
    "Uzbekistan",
    "Vanuatu",
    "Venezuela",
    "Vietnam",
    "West Bank and Gaza",
    "Yemen",
    "Zambia",
    "Zimbabwe",
};

/* Of the dates that version `v` shares with the one before, so many of the newest are revised. */
static const unsigned revised[TWIN_VERSIONS] = {0, 1, 1, 1, 6, 325};

/* What the revisions up to this version added to a country's count of a date: at least one country
 * a revised date has some. */
static uint64_t revision_sum(unsigned country, unsigned date, unsigned version)
{
    uint64_t sum = 0;
    for (unsigned v = 1; v <= version; v++) {
        unsigned shared = DATES_FIRST + v - 1;
        if (date >= shared || date < shared - revised[v])
            continue;
        uint64_t draw = noise(SEED, v, date);
        if (draw % ARRAY_COUNT(countries) == country)
            sum += 1 + draw % 97;
    }
    return sum;
}

void twin_write(unsigned version, FILE *out)
{
    int64_t first_day = date_from_civil(2020, 1, 22);
    fputs("Date,Country,Confirmed,Recovered,Deaths\n", out);
    for (unsigned c = 0; c < ARRAY_COUNT(countries); c++) {
        uint64_t confirmed = 0, pace = noise(SEED, 1000, c) % 400;
        const char *quote = strchr(countries[c], ',') != NULL ? "\"" : "";
        for (unsigned date = 0; date < DATES_FIRST + version; date++) {
            int64_t year;
            unsigned month, day;
            date_to_civil(first_day + date, &year, &month, &day);
            if (date > pace / 8)
                confirmed += noise(SEED, c, 2000 + date) % (1 + pace * date / 50);
            uint64_t shown = confirmed + revision_sum(c, date, version);
            fprintf(out, "%04d-%02u-%02u,%s%s%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", (int)year,
                    month, day, quote, countries[c], quote, shown, confirmed * 6 / 10,
                    confirmed / 45);
        }
    }
}
