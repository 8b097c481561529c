//! A JSON object of somebody else's format in, its fields by type out; a missing or mistyped one is named. Further
//! fields are ignored.

use serde_json::{Map, Value};

use super::finding::Fault;

/// What to do about a file of another schema.
const REMEDY: &str = "the published layout is in docs/datasets.md; correct the item or get the file again";

/// An object's fields.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(&'a Map<String, Value>);

fn fault(field: &str, what: impl Into<String>) -> Fault {
    Fault::new(field, what, REMEDY)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn of(value: &'a Value) -> Result<Self, Fault> {
        value.as_object().map(Self).ok_or_else(|| fault("", format!("is {}, it must be an object", kind(value))))
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.0.get(name).is_some_and(|v| !v.is_null())
    }

    fn get(self, name: &str) -> Result<&'a Value, Fault> {
        self.0.get(name).ok_or_else(|| fault(name, "is missing"))
    }

    fn typed<T>(self, name: &str, wanted: &str, f: impl Fn(&'a Value) -> Option<T>) -> Result<T, Fault> {
        let value = self.get(name)?;
        f(value).ok_or_else(|| fault(name, format!("is {}, it must be {wanted}", kind(value))))
    }

    /// A text that is not empty; spaces at its ends are cut off.
    pub(crate) fn text(self, name: &str) -> Result<&'a str, Fault> {
        let text = self.typed(name, "a text", Value::as_str)?.trim();
        if text.is_empty() { Err(fault(name, "is empty")) } else { Ok(text) }
    }

    /// A text or a whole number, as text.
    pub(crate) fn id(self, name: &str) -> Result<String, Fault> {
        match self.get(name)? {
            Value::Number(n) if n.is_i64() || n.is_u64() => Ok(n.to_string()),
            Value::String(_) => self.text(name).map(str::to_owned),
            other => Err(fault(name, format!("is {}, it must be a text or a whole number", kind(other)))),
        }
    }

    /// A whole number, or a text that is one.
    pub(crate) fn integer(self, name: &str) -> Result<i64, Fault> {
        integer(self.get(name)?).ok_or_else(|| fault(name, "is no whole number"))
    }

    pub(crate) fn number(self, name: &str) -> Result<f64, Fault> {
        let number = self.typed(name, "a number", Value::as_f64)?;
        if number.is_finite() { Ok(number) } else { Err(fault(name, "is not finite")) }
    }

    pub(crate) fn numbers<const N: usize>(self, name: &str) -> Result<[f64; N], Fault> {
        let list = self.list(name)?;
        let mut out = [0.0; N];
        if list.len() != N {
            return Err(fault(name, format!("has {} numbers, it must have {N}", list.len())));
        }
        for (out, value) in out.iter_mut().zip(list) {
            *out = value.as_f64().filter(|x| x.is_finite()).ok_or_else(|| fault(name, "holds no finite number"))?;
        }
        Ok(out)
    }

    pub(crate) fn list(self, name: &str) -> Result<&'a [Value], Fault> {
        self.typed(name, "a list", |v| v.as_array().map(Vec::as_slice))
    }

    /// A list of texts, at least one, none empty.
    pub(crate) fn texts(self, name: &str) -> Result<Vec<String>, Fault> {
        let texts: Vec<String> = self
            .list(name)?
            .iter()
            .map(|v| {
                v.as_str().map(|s| s.trim().to_owned()).ok_or_else(|| fault(name, "holds something that is no text"))
            })
            .collect::<Result<_, _>>()?;
        if texts.is_empty() || texts.iter().any(String::is_empty) {
            return Err(fault(name, if texts.is_empty() { "is empty" } else { "holds an empty text" }));
        }
        Ok(texts)
    }

    pub(crate) fn integers(self, name: &str) -> Result<Vec<i64>, Fault> {
        let whole = |v| integer(v).ok_or_else(|| fault(name, "holds something that is no whole number"));
        self.list(name)?.iter().map(whole).collect()
    }

    pub(crate) fn object(self, name: &str) -> Result<Self, Fault> {
        self.typed(name, "an object", Value::as_object).map(Self)
    }
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str().and_then(|s| s.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn missing_and_mistyped_fields_are_named() {
        let value = json!({"a": "x", "n": 3, "id": "34", "l": ["u", ""], "v": [1, 2], "e": " ", "o": {}});
        let f = Fields::of(&value).unwrap();
        assert_eq!((f.text("a").unwrap(), f.id("n").unwrap(), f.integer("id").unwrap()), ("x", "3".to_owned(), 34));
        assert_eq!(f.numbers::<2>("v").unwrap(), [1.0, 2.0]);
        let what = |r: Result<(), Fault>| {
            let fault = r.unwrap_err();
            format!("{}: {}", fault.field, fault.what)
        };
        assert_eq!(what(f.text("b").map(drop)), "b: is missing");
        assert_eq!(what(f.text("n").map(drop)), "n: is a number, it must be a text");
        assert_eq!(what(f.text("e").map(drop)), "e: is empty");
        assert_eq!(what(f.texts("l").map(drop)), "l: holds an empty text");
        assert_eq!(what(f.numbers::<3>("v").map(drop)), "v: has 2 numbers, it must have 3");
        assert_eq!(what(f.integer("a").map(drop)), "a: is no whole number");
        assert_eq!(what(f.id("o").map(drop)), "o: is an object, it must be a text or a whole number");
        assert_eq!(what(Fields::of(&json!(3)).map(drop)), ": is a number, it must be an object");
    }
}
