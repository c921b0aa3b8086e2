//! Which day, hour or month is a moment in, by UTC?

use super::unlabelled;
use crate::promql::ast::Call;
use crate::promql::eval::{Answer, Evaluator};
use crate::promql::fault::Result;
use crate::series::{Grid, Row, Value};

const DAY: i64 = 86_400;

/// Year, month and day of the Gregorian calendar.
fn date(seconds: i64) -> (i64, i64, i64) {
    // Days since 1 March of the year 0, in eras of 400 years.
    let days = seconds.div_euclid(DAY) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(super) fn year(seconds: i64) -> i64 {
    date(seconds).0
}

pub(super) fn month(seconds: i64) -> i64 {
    date(seconds).1
}

pub(super) fn day_of_month(seconds: i64) -> i64 {
    date(seconds).2
}

pub(super) fn days_in_month(seconds: i64) -> i64 {
    match date(seconds) {
        (_, 4 | 6 | 9 | 11, _) => 30,
        (year, 2, _) => 28 + i64::from(is_leap(year)),
        _ => 31,
    }
}

pub(super) fn day_of_year(seconds: i64) -> i64 {
    let (year, month, day) = date(seconds);
    let before: i64 = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].iter().zip(1..month).map(|(days, _)| days).sum();
    before + day + i64::from(month > 2 && is_leap(year))
}

/// Sunday is 0.
pub(super) fn day_of_week(seconds: i64) -> i64 {
    (seconds.div_euclid(DAY) + 4).rem_euclid(7)
}

pub(super) fn hour(seconds: i64) -> i64 {
    seconds.rem_euclid(DAY) / 3600
}

pub(super) fn minute(seconds: i64) -> i64 {
    seconds.rem_euclid(3600) / 60
}

impl Evaluator<'_> {
    /// Without an argument, of the step's time.
    pub(super) fn calendar(&mut self, call: &Call, grid: Grid, function: fn(i64) -> i64) -> Result<Answer> {
        let Some(vector) = call.args.first() else {
            let cells = grid.times().map(|time| Some(Value::Float(function(time.div_euclid(1000)) as f64)));
            return Ok(Answer::Instant(vec![unlabelled(cells.collect())]));
        };
        let rows = self.rows(vector, grid)?;
        let computed = rows.into_iter().filter_map(|row| {
            let row = Row { drop_name: true, ..row };
            // Times that no calendar tells are the first or the last that this one does.
            row.mapped(|_, value| {
                let seconds = (value.float()? as i64).clamp(-(1 << 55), 1 << 55);
                Some(Value::Float(function(seconds) as f64))
            })
        });
        Ok(Answer::Instant(computed.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(-1), (1969, 12, 31));
        assert_eq!(date(951_782_400), (2000, 2, 29));
        assert_eq!(day_of_year(1_735_603_200), 366);
        assert_eq!(day_of_week(1_735_603_200), 2);
        assert_eq!(days_in_month(951_782_400), 29);
        date(1 << 55);
        date(-(1 << 55));
    }
}
