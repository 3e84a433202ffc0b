//! What is held, for whom, and who makes room.

use super::*;

/// Room for 256 calls: 16 of one connection, 64 of one address.
const MOST: usize = 256 * CALL_BYTES;

fn hold(memory: &RequestMemory, connection: &Arc<Connection>) -> Result<Arc<Call>, NoRoom> {
    memory.hold(connection, &HeaderMap::new())
}

/// Calls of one connection that have arrived, until there is no room.
fn fill(memory: &RequestMemory, connection: &Arc<Connection>) -> (Vec<Arc<Call>>, NoRoom) {
    let mut calls = Vec::new();
    loop {
        match hold(memory, connection) {
            Ok(call) => {
                call.arrived();
                calls.push(call);
            }
            Err(no_room) => return (calls, no_room),
        }
    }
}

fn is_given_up(call: &Arc<Call>) -> bool {
    call.is_given_up()
}

#[tokio::test]
async fn bounds_a_connection_an_address_and_the_process() {
    let memory = RequestMemory::new(MOST);
    let mut all = Vec::new();
    for (address, room) in [(1, 64), (2, 64), (3, 64), (4, 64), (5, 0)] {
        let mut of_address = 0;
        for port in 0..5 {
            let connection = Connection::of(&format!("192.0.2.{address}:{port}"));
            let (calls, no_room) = fill(&memory, &connection);
            of_address += calls.len();
            let reason = match (address, port) {
                (5, _) => NoRoom::Process,
                (_, 4) => NoRoom::Address,
                (_, _) => NoRoom::Connection,
            };
            assert_eq!(no_room, reason, "{address} {port}");
            all.extend(calls);
        }
        assert_eq!(of_address, room, "{address}");
    }
    assert_eq!(memory.held(), MOST);
    drop(all);
    assert_eq!(memory.held(), 0);
}

#[tokio::test]
async fn leaves_a_proxy_to_the_limits_of_its_connections_and_of_all() {
    let memory = RequestMemory::new(MOST);
    let connections: Vec<_> =
        (0..17).map(|port| Connection::of(&format!("127.0.0.1:{port}"))).collect();
    let filled: Vec<_> = connections.iter().map(|c| fill(&memory, c)).collect();
    assert!(filled[..15].iter().all(|(_, no_room)| *no_room == NoRoom::Connection));
    assert_eq!(filled[16].1, NoRoom::Process);
    assert_eq!(memory.held(), MOST);
}

#[tokio::test]
async fn gives_up_what_has_been_arriving_for_longest() {
    let memory = RequestMemory::new(MOST);
    let connection = Connection::of("192.0.2.1:1");
    let calls: Vec<_> = (0..16).map(|_| hold(&memory, &connection).unwrap()).collect();
    calls[0].arrived();
    let new = hold(&memory, &connection).unwrap();
    let given_up: Vec<_> = calls.iter().map(is_given_up).collect();
    assert!(given_up[1] && given_up.iter().filter(|given_up| **given_up).count() == 1);
    assert_eq!(calls[1].grow(1), Err(NoRoom::GivenUp));
    assert!(!is_given_up(&new));
    assert_eq!(memory.held(), 16 * CALL_BYTES);
    // One that grows is not given up for itself.
    for call in &calls[2..] {
        call.arrived();
    }
    assert_eq!(new.grow(1), Err(NoRoom::Connection));
    assert!(!is_given_up(&new));
    drop((calls, new));
    assert_eq!(memory.held(), 0);
}

#[tokio::test]
async fn gives_up_nobody_else_for_an_address_that_has_too_much() {
    let memory = RequestMemory::new(MOST);
    let other = hold(&memory, &Connection::of("192.0.2.1:1")).unwrap();
    let connections: Vec<_> =
        (0..8).map(|port| Connection::of(&format!("192.0.2.2:{port}"))).collect();
    let calls: Vec<_> = connections
        .iter()
        .flat_map(|connection| (0..16).map(|_| hold(&memory, connection).unwrap()))
        .collect();
    assert_eq!(calls.iter().filter(|call| is_given_up(call)).count(), 64);
    assert!(!is_given_up(&other));
}

#[tokio::test]
async fn counts_headers_as_http_does() {
    let memory = RequestMemory::new(MOST);
    let mut headers = HeaderMap::new();
    headers.insert("name", "value".parse().unwrap());
    headers.append("name", "other".parse().unwrap());
    let call = memory.hold(&Connection::of("192.0.2.1:1"), &headers).unwrap();
    assert_eq!(memory.held(), CALL_BYTES + 2 * (9 + 32));
    drop(call);
}

#[tokio::test]
async fn keeps_streams_to_a_quarter_of_each_share() {
    let memory = RequestMemory::new(MOST);
    let connection = Connection::of("192.0.2.1:1");
    let streams: Vec<_> = (0..5).map(|_| hold(&memory, &connection).unwrap()).collect();
    let taken: Vec<_> = streams.iter().map(|stream| stream.stream(0)).collect();
    assert_eq!(taken, [Ok(()), Ok(()), Ok(()), Ok(()), Err(NoRoom::Connection)]);
    assert!(connection.is_waiting());
}

#[tokio::test]
async fn has_a_connection_wait_for_its_client_until_a_request_has_arrived() {
    let memory = RequestMemory::new(MOST);
    let connection = Connection::of("192.0.2.1:1");
    let call = hold(&memory, &connection).unwrap();
    assert!(connection.is_waiting());
    call.arrived();
    call.arrived();
    assert!(!connection.is_waiting());
    drop(call);
    assert!(connection.is_waiting());
}
