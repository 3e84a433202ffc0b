//! Statements of many rows, of a few shapes only, so that a connection's prepared statements serve
//! again; and of no more rows than each database takes.

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, Iterable as _,
};

/// How many parameters a statement has at most. SQLite ends at 32,766.
const PARAMETERS: usize = 8192;

/// How many rows a statement names at most.
pub(super) const AT_ONCE: usize = 1024;

/// Cuts a list into pieces, each of a power of two and of no more than so many, longest first.
pub(super) fn pieces<T>(mut list: &[T], most: usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = list.len().min(most).checked_ilog2().map(|power| 1 << power)?;
        let (piece, rest) = list.split_at_checked(length)?;
        list = rest;
        Some(piece)
    })
}

/// Lengthens a list to a power of two by its last: where it names what is looked for, that
/// changes nothing.
pub(super) fn padded(mut names: Vec<String>) -> Vec<String> {
    let length = names.len().next_power_of_two();
    if let Some(last) = names.last().cloned() {
        names.resize(length, last);
    }
    names
}

/// Inserts rows.
pub(super) async fn insert<A: ActiveModelTrait>(
    connection: &impl ConnectionTrait,
    rows: Vec<impl IntoActiveModel<A>>,
) -> Result<(), DbErr> {
    let rows: Vec<_> = rows.into_iter().map(IntoActiveModel::into_active_model).collect();
    for piece in pieces(&rows, most_rows::<A>()) {
        let piece = piece.iter().cloned();
        A::Entity::insert_many(piece).exec_without_returning(connection).await?;
    }
    Ok(())
}

/// Inserts rows but for those whose key, these columns, is there already.
pub(super) async fn insert_new<A: ActiveModelTrait>(
    connection: &impl ConnectionTrait,
    rows: Vec<impl IntoActiveModel<A>>,
    key: &[<A::Entity as EntityTrait>::Column],
) -> Result<(), DbErr> {
    let rows: Vec<_> = rows.into_iter().map(IntoActiveModel::into_active_model).collect();
    for piece in pieces(&rows, most_rows::<A>()) {
        A::Entity::insert_many(piece.iter().cloned())
            .on_conflict_do_nothing_on(key.iter().copied())
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}

fn most_rows<A: ActiveModelTrait>() -> usize {
    PARAMETERS / <A::Entity as EntityTrait>::Column::iter().count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_into_powers_of_two_and_leaves_nothing_out() {
        for length in 0..300 {
            let list: Vec<_> = (0..length).collect();
            let cut: Vec<_> = pieces(&list, 100).collect();
            assert_eq!(cut.concat(), list);
            assert!(cut.iter().all(|piece| piece.len().is_power_of_two() && piece.len() <= 100));
            assert!(cut.len() <= length / 64 + 6, "{length}");
        }
    }

    #[test]
    fn lengthens_without_naming_anything_new() {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(padded(names(&[])), names(&[]));
        assert_eq!(padded(names(&["a", "b", "c"])), names(&["a", "b", "c", "c"]));
    }
}
