//! Units of measure and the affine conversions between them.

use std::{fmt, str::FromStr, sync::Arc};

use fineo_core::{Error, Result};

/// What a value is measured in: one of the units known here, or any text, which converts to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unit(Arc<str>);

/// `base = value * scale + offset`, for units of one dimension.
struct Known {
    symbols: &'static [&'static str],
    dimension: Dimension,
    scale: f64,
    offset: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Temperature,
    Pressure,
    Length,
    Mass,
    Time,
    Speed,
    Volume,
    Energy,
    Power,
    Voltage,
    Current,
    Frequency,
    Ratio,
    Angle,
}

const fn known(symbols: &'static [&'static str], dimension: Dimension, scale: f64, offset: f64) -> Known {
    Known { symbols, dimension, scale, offset }
}

const KNOWN: &[Known] = &[
    known(&["K", "kelvin"], Dimension::Temperature, 1.0, 0.0),
    known(&["C", "°C", "degC", "celsius"], Dimension::Temperature, 1.0, 273.15),
    known(&["F", "°F", "degF", "fahrenheit"], Dimension::Temperature, 5.0 / 9.0, 273.15 - 160.0 / 9.0),
    known(&["Pa"], Dimension::Pressure, 1.0, 0.0),
    known(&["hPa", "mbar"], Dimension::Pressure, 100.0, 0.0),
    known(&["kPa"], Dimension::Pressure, 1000.0, 0.0),
    known(&["MPa"], Dimension::Pressure, 1e6, 0.0),
    known(&["bar"], Dimension::Pressure, 1e5, 0.0),
    known(&["psi"], Dimension::Pressure, 6_894.757_293_168_361, 0.0),
    known(&["atm"], Dimension::Pressure, 101_325.0, 0.0),
    known(&["mmHg"], Dimension::Pressure, 133.322_387_415, 0.0),
    known(&["m"], Dimension::Length, 1.0, 0.0),
    known(&["mm"], Dimension::Length, 0.001, 0.0),
    known(&["cm"], Dimension::Length, 0.01, 0.0),
    known(&["km"], Dimension::Length, 1000.0, 0.0),
    known(&["in"], Dimension::Length, 0.0254, 0.0),
    known(&["ft"], Dimension::Length, 0.3048, 0.0),
    known(&["yd"], Dimension::Length, 0.9144, 0.0),
    known(&["mi"], Dimension::Length, 1609.344, 0.0),
    known(&["kg"], Dimension::Mass, 1.0, 0.0),
    known(&["g"], Dimension::Mass, 0.001, 0.0),
    known(&["t"], Dimension::Mass, 1000.0, 0.0),
    known(&["lb"], Dimension::Mass, 0.453_592_37, 0.0),
    known(&["oz"], Dimension::Mass, 0.028_349_523_125, 0.0),
    known(&["s"], Dimension::Time, 1.0, 0.0),
    known(&["ms"], Dimension::Time, 0.001, 0.0),
    known(&["us", "µs"], Dimension::Time, 1e-6, 0.0),
    known(&["min"], Dimension::Time, 60.0, 0.0),
    known(&["h"], Dimension::Time, 3600.0, 0.0),
    known(&["d"], Dimension::Time, 86_400.0, 0.0),
    known(&["m/s"], Dimension::Speed, 1.0, 0.0),
    known(&["km/h", "kph"], Dimension::Speed, 1.0 / 3.6, 0.0),
    known(&["mph"], Dimension::Speed, 0.447_04, 0.0),
    known(&["kn"], Dimension::Speed, 1852.0 / 3600.0, 0.0),
    known(&["m3", "m³"], Dimension::Volume, 1.0, 0.0),
    known(&["l", "L"], Dimension::Volume, 0.001, 0.0),
    known(&["ml", "mL"], Dimension::Volume, 1e-6, 0.0),
    known(&["gal"], Dimension::Volume, 0.003_785_411_784, 0.0),
    known(&["J"], Dimension::Energy, 1.0, 0.0),
    known(&["kJ"], Dimension::Energy, 1000.0, 0.0),
    known(&["Wh"], Dimension::Energy, 3600.0, 0.0),
    known(&["kWh"], Dimension::Energy, 3.6e6, 0.0),
    known(&["W"], Dimension::Power, 1.0, 0.0),
    known(&["kW"], Dimension::Power, 1000.0, 0.0),
    known(&["MW"], Dimension::Power, 1e6, 0.0),
    known(&["hp"], Dimension::Power, 745.699_871_582_270_2, 0.0),
    known(&["V"], Dimension::Voltage, 1.0, 0.0),
    known(&["mV"], Dimension::Voltage, 0.001, 0.0),
    known(&["kV"], Dimension::Voltage, 1000.0, 0.0),
    known(&["A"], Dimension::Current, 1.0, 0.0),
    known(&["mA"], Dimension::Current, 0.001, 0.0),
    known(&["Hz"], Dimension::Frequency, 1.0, 0.0),
    known(&["kHz"], Dimension::Frequency, 1000.0, 0.0),
    known(&["MHz"], Dimension::Frequency, 1e6, 0.0),
    known(&["rpm"], Dimension::Frequency, 1.0 / 60.0, 0.0),
    known(&["1", "ratio"], Dimension::Ratio, 1.0, 0.0),
    known(&["%", "percent"], Dimension::Ratio, 0.01, 0.0),
    known(&["ppm"], Dimension::Ratio, 1e-6, 0.0),
    known(&["rad"], Dimension::Angle, 1.0, 0.0),
    known(&["deg", "°"], Dimension::Angle, std::f64::consts::PI / 180.0, 0.0),
];

impl Unit {
    /// The most bytes of a unit's text.
    pub const LEN_MAX: usize = 32;

    /// Checks `text`: 1–32 bytes without control characters.
    ///
    /// # Errors
    ///
    /// `Invalid` when it is not the text of a unit.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        if !(1..=Self::LEN_MAX).contains(&text.len()) || text.chars().any(char::is_control) {
            let shown: String = text.chars().take(40).collect();
            return Err(Error::invalid("not a unit: it has 1-32 bytes and no control characters").with("unit", shown));
        }
        Ok(Self(text.into()))
    }

    /// The unit as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scale and offset that turn a value in this unit into one in `to`.
    ///
    /// # Errors
    ///
    /// `Invalid` when one of them is not known here or they measure different things.
    pub fn convert(&self, to: &Self) -> Result<(f64, f64)> {
        if self == to {
            return Ok((1.0, 0.0));
        }
        let (source, target) = (self.known()?, to.known()?);
        if source.dimension != target.dimension {
            return Err(Error::invalid("the units measure different things").with("from", self).with("to", to));
        }
        Ok((source.scale / target.scale, (source.offset - target.offset) / target.scale))
    }

    fn known(&self) -> Result<&'static Known> {
        let exact = KNOWN.iter().find(|unit| unit.symbols.contains(&&*self.0));
        exact.ok_or_else(|| {
            Error::invalid("not a unit that can be converted; state a scale and an offset").with("unit", self)
        })
    }
}

impl FromStr for Unit {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
