//! What is called over Flight, with what a fuzzer makes of the messages.

use arrow_flight::{
    Action, FlightData, FlightDescriptor, HandshakeRequest, Ticket, flight_service_client::FlightServiceClient,
};
use bytes::Bytes;
use futures::StreamExt;
use prost::Message;
use tonic::{
    Request, Status, Streaming,
    transport::{Channel, Endpoint},
};

use super::doors::{Doors, exchange};

/// The most messages of an answer that are read.
const MESSAGES_MAX: usize = 64;

type Client = FlightServiceClient<Channel>;

/// The first byte says what is called; the others are what the call carries. Without a call they are the connection's own.
pub(super) async fn call(doors: &Doors, bytes: &[u8]) -> Vec<u8> {
    let Some((kind, said)) = bytes.split_first() else { return Vec::new() };
    if kind % 8 == 0 {
        return exchange(doors.connect(doors.flight).await, said).await;
    }
    let channel = Endpoint::from_shared(format!("http://{}", doors.flight))
        .expect("a URL")
        .connect()
        .await
        .expect("the door is open");
    let mut client = FlightServiceClient::new(channel);
    // What is refused is refused; what is answered is read.
    called(&mut client, kind % 8, said, &doors.token)
        .await
        .unwrap_or_else(|status| status.message().as_bytes().to_vec())
}

async fn called(client: &mut Client, kind: u8, said: &[u8], token: &str) -> Result<Vec<u8>, Status> {
    let bytes = Bytes::copy_from_slice(said);
    let descriptor = FlightDescriptor::new_cmd(bytes.clone());
    match kind {
        1 => {
            let info = client.get_flight_info(authorized(descriptor, token)).await?.into_inner();
            let Some(ticket) = info.endpoint.first().and_then(|endpoint| endpoint.ticket.clone()) else {
                return Ok(info.encode_to_vec());
            };
            Ok(read(client.do_get(authorized(ticket, token)).await?.into_inner()).await)
        }
        2 => Ok(client.get_schema(authorized(descriptor, token)).await?.into_inner().encode_to_vec()),
        3 => Ok(read(client.do_get(authorized(Ticket { ticket: bytes }, token)).await?.into_inner()).await),
        4 => {
            // A string as protobuf has it, so that the seeds can name an action.
            let action = Action::decode(said).unwrap_or_else(|_| Action::new(String::from_utf8_lossy(said), bytes));
            Ok(read(client.do_action(authorized(action, token)).await?.into_inner()).await)
        }
        5 => {
            Ok(read(client.do_put(authorized(futures::stream::iter(messages(said)), token)).await?.into_inner()).await)
        }
        6 => Ok(read(client.do_exchange(authorized(futures::stream::iter(messages(said)), token)).await?.into_inner())
            .await),
        _ => {
            let hello = HandshakeRequest { protocol_version: 0, payload: bytes };
            Ok(read(client.handshake(futures::stream::iter([hello])).await?.into_inner()).await)
        }
    }
}

fn authorized<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a token is ASCII"));
    request
}

fn messages(mut said: &[u8]) -> Vec<FlightData> {
    let mut found = Vec::new();
    while !said.is_empty() {
        let Ok(message) = FlightData::decode_length_delimited(&mut said) else { break };
        found.push(message);
    }
    found
}

async fn read<T: Message>(answer: Streaming<T>) -> Vec<u8> {
    let messages = answer.take(MESSAGES_MAX).collect::<Vec<_>>().await;
    messages.into_iter().flatten().flat_map(|message| message.encode_to_vec()).collect()
}
