//! Functions that users of other databases ask for, and what says the same here.

/// What is written here in place of a function: forms over a number `x`, another one `y`, a whole number `n` and a text `s`,
/// each of which works as it stands, and what is to be known beside them.
#[derive(Debug, Clone, Copy)]
struct Advice {
    /// Names in lower case, without `_`, between spaces.
    names: &'static str,
    forms: &'static [&'static str],
    note: &'static str,
}

const fn say(names: &'static str, forms: &'static [&'static str]) -> Advice {
    Advice { names, forms, note: "" }
}

const fn noting(names: &'static str, forms: &'static [&'static str], note: &'static str) -> Advice {
    Advice { names, forms, note }
}

const STEPS: &[&str] = &["date_bin(INTERVAL '1 hour', timestamp)", "date_trunc('hour', timestamp)"];
const STEPS_BEGIN: &str =
    "date_bin counts from 1970-01-01, a Thursday, or from its third value, as TIMESTAMP '2000-01-03 00:00:00'";

const TIMES: &[Advice] = &[
    noting("timebucket tostartofinterval timeslice timefloor datehistogram", STEPS, STEPS_BEGIN),
    noting(
        "timebucketgapfill gapfill",
        &["date_bin(INTERVAL '1 hour', timestamp)"],
        "steps without rows come from a LEFT JOIN behind FROM generate_series(begin, end, INTERVAL '1 hour')",
    ),
    say("locf fill interpolate", &["last_value(x) IGNORE NULLS OVER (PARTITION BY s ORDER BY timestamp)"]),
    say("tomonday", &["date_trunc('week', timestamp)"]),
    say("toyyyymm", &["to_char(timestamp, 'YYYYMM')"]),
    say("toyyyymmdd", &["to_char(timestamp, 'YYYYMMDD')"]),
    say(
        "strftime formatdatetime formattimestamp timeformat datename dayname monthname",
        &["to_char(timestamp, 'YYYY-MM-DD HH24:MI:SS')", "to_char(timestamp, '%a %d %b')"],
    ),
    say(
        "strptime strtodate parsedatetime parsedatetimebesteffort parsetimestamp todatetime todatetime64",
        &["CAST('2026-01-31T12:00:00Z' AS TIMESTAMP)", "to_timestamp('31.01.2026 12:00', 'DD.MM.YYYY HH24:MI')"],
    ),
    say(
        "datediff timestampdiff timediff",
        &["extract(epoch FROM now() - timestamp) / 3600", "date_part('day', now() - timestamp)"],
    ),
    say(
        "dateadd datesub timestampadd timestampsub adddate subdate addtime addhours adddays",
        &["timestamp + INTERVAL '1 hour'", "timestamp - INTERVAL '7 days'"],
    ),
    say("epochms tounixtimestamp64milli", &["extract(epoch FROM timestamp) * 1000", "to_timestamp_millis(n)"]),
    say("unixtimestamp tounixtimestamp epoch", &["extract(epoch FROM timestamp)"]),
    say("fromunixtimestamp fromunixtimestamp64milli", &["to_timestamp_seconds(n)", "to_timestamp_millis(n)"]),
    say("curdate", &["current_date"]),
    say("getdate sysdate systimestamp now64", &["now()"]),
    say("date", &["CAST(timestamp AS DATE)"]),
];

const GROUPS: &[Advice] = &[
    noting("last anylast", &["last_value(x ORDER BY timestamp)"], LEAVES_OUT),
    noting("first", &["first_value(x ORDER BY timestamp)"], LEAVES_OUT),
    say("argmax maxby", &["last_value(x ORDER BY y NULLS FIRST)"]),
    say("argmin minby", &["first_value(x ORDER BY y)"]),
    say("any anyheavy arbitrary", &["any_value(x)"]),
    say(
        "quantile quantiles quantileexact percentile",
        &["percentile_cont(0.5) WITHIN GROUP (ORDER BY x)", "approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY x)"],
    ),
    say("quantiledisc", &["percentile_disc(0.5) WITHIN GROUP (ORDER BY x)"]),
    say(
        "approxquantile approxpercentile quantiletdigest percentileapprox apercentile",
        &["approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY x)"],
    ),
    say("countif", &["count(*) FILTER (WHERE x > 1)"]),
    say("sumif", &["sum(x) FILTER (WHERE x > 1)"]),
    say("avgif", &["avg(x) FILTER (WHERE x > 1)"]),
    say("minif maxif", &["min(x) FILTER (WHERE y > 1)", "max(x) FILTER (WHERE y > 1)"]),
    say("grouparray list collectlist", &["array_agg(x)", "array_agg(x) FILTER (WHERE x IS NOT NULL)"]),
    say("groupuniqarray collectset", &["array_agg(DISTINCT x)"]),
    say("groupconcat listagg", &["string_agg(s, ', ')"]),
    say(
        "uniq uniqcombined uniqcombined64 uniqhll12 approxcountdistinct hll ndv",
        &["count(DISTINCT x)", "approx_distinct(s)"],
    ),
    say("uniqexact", &["count(DISTINCT x)"]),
    say("spread", &["max(x) - min(x)"]),
    say("histogram", &["width_bucket(x, 0, 100, 10)"]),
];
const LEAVES_OUT: &str = "FILTER (WHERE x IS NOT NULL) behind it leaves out rows without x";

const ROWS_BEFORE: &[Advice] = &[
    say(
        "derivative rate irate",
        &[
            "(x - lag(x) OVER (ORDER BY timestamp)) / extract(epoch FROM timestamp - lag(timestamp) OVER (ORDER BY timestamp))",
        ],
    ),
    say("difference delta runningdifference", &["x - lag(x) OVER (PARTITION BY s ORDER BY timestamp)"]),
    say(
        "nonnegativedifference nonnegativederivative increase",
        &["greatest(x - lag(x) OVER (PARTITION BY s ORDER BY timestamp), 0)"],
    ),
    say("elapsed", &["timestamp - lag(timestamp) OVER (PARTITION BY s ORDER BY timestamp)"]),
    say("movingaverage", &["avg(x) OVER (PARTITION BY s ORDER BY timestamp ROWS 4 PRECEDING)"]),
    say("cumulativesum runningaccumulate", &["sum(x) OVER (PARTITION BY s ORDER BY timestamp)"]),
];

const VALUES: &[Advice] = &[
    say("if iff iif multiif", &["CASE WHEN x > 1 THEN 'high' ELSE 'low' END", "coalesce(x, 0)", "nullif(x, 0)"]),
    say("isnull", &["x IS NULL", "coalesce(x, 0)"]),
    say("zeroifnull", &["coalesce(x, 0)"]),
    say("nullifzero", &["nullif(x, 0)"]),
    say("safedivide divide", &["x / nullif(y, 0)"]),
    say("tofloat64 tofloat32 tofloat todouble tonumber", &["CAST(s AS DOUBLE)", "TRY_CAST(s AS DOUBLE)"]),
    say("toint64 toint32 touint64 touint32 toint tobigint", &["CAST(s AS BIGINT)", "TRY_CAST(s AS BIGINT)"]),
    say("tostring tovarchar str", &["CAST(x AS TEXT)"]),
    say("len", &["char_length(s)"]),
    say("lcase tolower", &["lower(s)"]),
    say("ucase toupper", &["upper(s)"]),
    say("regexpextract", &["substring(s FROM '[0-9]+')"]),
    say("regexpmatches regexpcontains rlike match", &["regexp_like(s, '[0-9]+')"]),
    say("locate charindex positioncaseinsensitive", &["strpos(s, '1')"]),
    say("splitbychar splitbystring strsplit stringsplit", &["string_to_array(s, ',')"]),
];

/// No function reads JSON.
const JSON: Advice = noting(
    "getjsonobject visitparamextractstring simplejsonextractstring",
    &["substring(s FROM '\"lat\": *([-0-9.]+)')"],
    "an object that an event bears has a column for each of its values, as gps.lat",
);

/// Units of ClickHouse's `toStartOf…`.
const UNITS: [&str; 8] = ["second", "minute", "hour", "day", "week", "month", "quarter", "year"];

/// Names of the parts of a time, and those that are extracted.
const PARTS: [(&str, &str); 18] = [
    ("year", "year"),
    ("quarter", "quarter"),
    ("month", "month"),
    ("week", "week"),
    ("weekofyear", "week"),
    ("isoweek", "week"),
    ("day", "day"),
    ("dayofmonth", "day"),
    ("dayofyear", "doy"),
    ("dayofweek", "dow"),
    ("weekday", "dow"),
    ("isodow", "isodow"),
    ("doy", "doy"),
    ("dow", "dow"),
    ("hour", "hour"),
    ("minute", "minute"),
    ("second", "second"),
    ("millisecond", "millisecond"),
];

/// What to write in place of the function `name`, where that is known elsewhere.
pub(super) fn instead_of(name: &str) -> Option<String> {
    let name = name.to_lowercase().replace('_', "");
    if let Some(unit) = name.strip_prefix("tostartof").filter(|unit| *unit != "interval") {
        let is_unit = UNITS.contains(&unit);
        return Some(if is_unit {
            format!("write date_trunc('{unit}', timestamp)")
        } else {
            shown(&STEPS[..1], STEPS_BEGIN)
        });
    }
    let wanted = name.strip_prefix("to").unwrap_or(&name);
    if let Some((_, part)) = PARTS.iter().find(|(known, _)| *known == wanted) {
        return Some(format!("write extract({part} FROM timestamp)"));
    }
    let known = [TIMES, GROUPS, ROWS_BEFORE, VALUES].into_iter().flatten();
    let mut known = known.filter(|advice| advice.names.split(' ').any(|known| known == name));
    let advice = known.next().copied().or_else(|| is_of_json(&name).then_some(JSON))?;
    Some(shown(advice.forms, advice.note))
}

fn is_of_json(name: &str) -> bool {
    name.starts_with("json") || JSON.names.split(' ').any(|known| known == name)
}

fn shown(forms: &[&str], note: &str) -> String {
    let forms = forms.join(" or ");
    if note.is_empty() { format!("write {forms}") } else { format!("write {forms}; {note}") }
}
