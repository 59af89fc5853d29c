//! Tells columns apart that the planner would give one name: `v` and `CAST(v AS INT)`, or `v` twice; `count(v)` and
//! `count(TRY_CAST(v AS INT))`; the groups of `v` and of `CAST(v AS INT)`.

use std::{collections::HashSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident,
    ObjectName, Query, Select, SelectItem, SetExpr, Statement, Value, VisitMut, VisitorMut,
};

use super::exact;

/// Names the columns of `statement`: an expression by its own text, and what comes again by a number behind it. What
/// functions are given differs by more than a type. Answers whether there was anything to tell apart.
pub(crate) fn tell_apart(statement: &mut Statement) -> bool {
    let has_named = of_statement(statement);
    let mut casts = Casts::default();
    let _ = VisitMut::visit(statement, &mut casts);
    has_named || !casts.types.is_empty()
}

fn of_statement(statement: &mut Statement) -> bool {
    match statement {
        Statement::Query(query) => of_query(query),
        Statement::Explain { statement, .. } => of_statement(statement),
        _ => false,
    }
}

/// Puts casts within what functions are given into calls of `coalesce`, which answers what it is given: as many of them as
/// the type is the how-manieth. The planner leaves casts out of names, and calls in.
#[derive(Default)]
struct Casts {
    /// How many functions the place is within.
    depth: usize,
    types: Vec<String>,
}

impl VisitorMut for Casts {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.depth += usize::from(matches!(expr, Expr::Function(_)));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(_) => self.depth -= 1,
            Expr::Cast { kind, data_type, .. } if self.depth > 0 => {
                let of_type = format!("{kind:?} {data_type}");
                let known = self.types.iter().position(|known| *known == of_type);
                let place = known.unwrap_or_else(|| {
                    self.types.push(of_type);
                    self.types.len() - 1
                });
                for _ in 0..=place {
                    *expr = coalesce(vec![expr.clone()]);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// A call of `coalesce`.
pub(super) fn coalesce(values: Vec<Expr>) -> Expr {
    call(Ident::new("coalesce"), values)
}

/// A call of `function`.
pub(super) fn call(function: Ident, values: Vec<Expr>) -> Expr {
    let args = values.into_iter().map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![function]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn of_query(query: &mut Query) -> bool {
    of_body(&mut query.body)
}

/// Tells the groups of a column from those of what it is cast to: the planner would give both one name.
pub(crate) fn tell_groups_apart(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Groups);
}

struct Groups;

impl VisitorMut for Groups {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        if !groups_by_casts(select) {
            return ControlFlow::Continue(());
        }
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
            {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: exact(&expr.to_string()) };
            }
        }
        // What is shown, and by what groups are chosen and sorted, has their names.
        let mut casts = Casts { depth: 1, types: Vec::new() };
        let _ = VisitMut::visit(&mut select.group_by, &mut casts);
        let _ = VisitMut::visit(&mut select.projection, &mut casts);
        let _ = VisitMut::visit(&mut select.having, &mut casts);
        let _ = VisitMut::visit(&mut query.order_by, &mut casts);
        ControlFlow::Continue(())
    }
}

/// Whether two of the keys by which `select` groups are one expression but for casts.
fn groups_by_casts(select: &Select) -> bool {
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return false };
    let shown = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        SelectItem::ExprWithAliases { .. } | SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => None,
    };
    let meant = |key: &Expr| match key {
        Expr::Value(place) => {
            let Value::Number(place, _) = &place.value else { return None };
            shown(select.projection.get(place.to_string().parse::<usize>().ok()?.checked_sub(1)?)?)
        }
        Expr::Identifier(name) => {
            let named = select.projection.iter().find(|item| alias(item) == Some(&name.value));
            Some(named.and_then(shown).unwrap_or_else(|| key.clone()))
        }
        other => Some(other.clone()),
    };
    let mut bare = HashSet::new();
    keys.len() > 1
        && !keys.iter().filter_map(meant).all(|key| bare.insert(without_casts(&key).to_string().to_lowercase()))
}

fn without_casts(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => without_casts(expr),
        other => other,
    }
}

fn of_body(body: &mut SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => of_items(&mut select.projection),
        SetExpr::Query(query) => of_query(query),
        SetExpr::SetOperation { left, right, .. } => of_body(left) | of_body(right),
        SetExpr::Values(_)
        | SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_)
        | SetExpr::Table(_) => false,
    }
}

fn of_items(items: &mut [SelectItem]) -> bool {
    let is_wildcard = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    let shows_all = items.iter().any(is_wildcard);
    let mut taken: HashSet<String> = items.iter().filter_map(alias).map(str::to_lowercase).collect();
    let mut has_named = false;
    let mut given = HashSet::new();
    for item in items {
        if let SelectItem::ExprWithAlias { alias, .. } = item
            && !given.insert(alias.value.clone())
        {
            *alias = exact(&numbered(&alias.value, &mut taken));
            has_named = true;
        }
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let (name, is_column) = match &*expr {
            Expr::Identifier(ident) => (ident.value.clone(), true),
            Expr::CompoundIdentifier(parts) => (parts.last().map_or_else(String::new, |last| last.value.clone()), true),
            other => (other.to_string(), false),
        };
        // `*` shows every column already.
        let is_first = taken.insert(name.to_lowercase()) && !(is_column && shows_all);
        if is_first && is_column {
            continue;
        }
        let named = match is_first {
            true => name,
            false => numbered(&name, &mut taken),
        };
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: exact(&named) };
        has_named = true;
    }
    has_named
}

/// `name` with the first number behind it that makes a name not `taken`.
pub(super) fn numbered(name: &str, taken: &mut HashSet<String>) -> String {
    let mut numbered = (2_u32..).map(|number| format!("{name}_{number}"));
    numbered.find(|free| taken.insert(free.to_lowercase())).unwrap_or_default()
}

fn alias(item: &SelectItem) -> Option<&str> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(&alias.value),
        SelectItem::UnnamedExpr(_)
        | SelectItem::ExprWithAliases { .. }
        | SelectItem::Wildcard(_)
        | SelectItem::QualifiedWildcard(..) => None,
    }
}
