//! The implementation that a derive stands for.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Field, Fields, Result, spanned::Spanned};

use crate::attributes::{OfField, OfStruct};

/// One field: how it is declared, and how it is written.
struct Written {
    declared: Option<TokenStream>,
    written: TokenStream,
    is_timestamp: bool,
}

pub(crate) fn event(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(input.span(), "an event is a struct with named fields"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new(input.span(), "an event is a struct with named fields"));
    };
    let OfStruct { metric, aliases } = OfStruct::read(&input.attrs)?;
    let metric = metric.map_or_else(|| snake_case(&input.ident.to_string()), |metric| metric.value());
    let fields = fields.named.iter().map(field).collect::<Result<Vec<_>>>()?;
    let fields: Vec<Written> = fields.into_iter().flatten().collect();
    if fields.iter().filter(|field| field.is_timestamp).count() > 1 {
        return Err(Error::new(input.span(), "an event has one time: mark one field as its timestamp"));
    }
    let declared = fields.iter().filter_map(|field| field.declared.as_ref());
    let written = fields.iter().map(|field| &field.written);
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let event = event_module();
    Ok(quote! {
        impl #generics #event::FineoEvent for #name #arguments #bounds {
            const METRIC: &'static str = #metric;

            fn declaration() -> #event::MetricDeclaration {
                #event::declared(&[#(#aliases),*], ::std::vec![#(#declared),*])
            }

            fn write(&self, event: &mut #event::EventWriter) {
                #(#written)*
            }
        }
    })
}

/// Where the derived code finds what it needs: in the facade, as every user has it.
fn event_module() -> TokenStream {
    quote!(::fineo::event)
}

fn field(field: &Field) -> Result<Option<Written>> {
    let Some(ident) = &field.ident else { return Err(Error::new(field.span(), "an event's fields have names")) };
    let OfField { name, aliases, unit, field_type, is_timestamp, is_skipped } = OfField::read(&field.attrs)?;
    if is_skipped {
        return Ok(None);
    }
    let event = event_module();
    if is_timestamp {
        if name.is_some() || !aliases.is_empty() || unit.is_some() || field_type.is_some() {
            return Err(Error::new(field.span(), "the time of an event is always called timestamp"));
        }
        let written = quote! { event.value("timestamp", &self.#ident); };
        return Ok(Some(Written { declared: None, written, is_timestamp }));
    }
    let text = ident.to_string();
    let name = name.map_or_else(|| text.strip_prefix("r#").unwrap_or(&text).to_owned(), |name| name.value());
    let rust_type = &field.ty;
    let field_type = match field_type {
        Some(field_type) => quote!(#field_type),
        None => quote!(<#rust_type as #event::EventValue>::FIELD_TYPE),
    };
    let unit = match unit {
        Some(unit) => quote!(::std::option::Option::Some(#unit)),
        None => quote!(::std::option::Option::None),
    };
    let declared = quote! { #event::field(#name, #field_type, &[#(#aliases),*], #unit) };
    let written = quote! { event.value(#name, &self.#ident); };
    Ok(Some(Written { declared: Some(declared), written, is_timestamp }))
}

/// `DoorSensor` as `door_sensor`.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
