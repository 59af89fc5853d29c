//! Texts keep their numbers, whatever their lengths and however many they are or are the same.

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
            assert_eq!((texts.find(text), texts.text(number)), (vec![number], text.as_str()));
        }
    }
    assert_eq!((texts.len(), texts.find("none")), (written.len(), vec![]));
}

#[test]
fn where_few_texts_are_the_same_twins_are_kept_and_all_of_them_found() {
    let mut texts = Texts::watched(17);
    let numbers: Vec<u32> = (0..3000).map(|number| texts.intern(&number.to_string())).collect();
    let again: Vec<u32> = (0..3000).map(|number| texts.intern(&number.to_string())).collect();
    for ((number, first), second) in (0..3000).zip(numbers).zip(again) {
        let text = number.to_string();
        assert_eq!((texts.text(first), texts.text(second)), (text.as_str(), text.as_str()));
        assert_eq!(texts.find(&text), if first == second { vec![first] } else { vec![first, second] });
    }
    assert_eq!((texts.len(), texts.find("none")), (6000, vec![]));
}

#[test]
fn where_many_texts_are_the_same_each_has_one_number() {
    let mut texts = Texts::watched(17);
    for round in 0..3 {
        for number in 0..900_u32 {
            assert_eq!(texts.intern(&number.to_string()), number, "round {round}");
        }
    }
    let late = texts.intern("late");
    assert_eq!((texts.len(), texts.find("late"), texts.find("7")), (901, vec![late], vec![7]));
}
