//! Texts keep their numbers, whatever their lengths and however many they are.

use super::Texts;

#[test]
fn every_text_has_one_number() {
    let long = "a text that is longer than sixteen bytes".to_owned();
    let mut written: Vec<String> = (0..long.len()).map(|len| long[..len].to_owned()).collect();
    written.extend((0..3000).map(|number| number.to_string()));
    written.extend((0..300).map(|number| format!("{number} and its end is the same")));
    let mut texts = Texts::new(17);
    for round in 0..2 {
        for (number, text) in (0_u32..).zip(&written) {
            assert_eq!(texts.intern(text), number, "{text} in round {round}");
            assert_eq!((texts.find(text), texts.text(number)), (Some(number), text.as_str()));
        }
    }
    assert_eq!((texts.len(), texts.find("none")), (written.len(), None));
}
