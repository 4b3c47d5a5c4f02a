//! A WebSocket that carries JSON texts, as other servers' signaling does. It is read all the time, so that pings are
//! answered while the caller does something else.

use futures_util::{SinkExt, StreamExt, stream::SplitSink};
use serde_json::Value;
use std::time::Duration;
use tokio::{
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
    time::{error::Elapsed, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::header::{InvalidHeaderValue, SEC_WEBSOCKET_PROTOCOL},
    },
};

/// Maximum time until a message arrives.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a signaling connection failed.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The connection failed.
    #[error("signaling: {0}")]
    WebSocket(Box<tungstenite::Error>),
    /// The name of the subprotocol is not a valid header value.
    #[error(transparent)]
    Header(#[from] InvalidHeaderValue),
    /// The server has closed the connection.
    #[error("the server has ended the signaling connection")]
    Ended,
    /// The expected message did not arrive in time.
    #[error("the server did not answer in {} s", MESSAGE_TIMEOUT.as_secs())]
    Silent(#[from] Elapsed),
}

impl From<tungstenite::Error> for SocketError {
    fn from(error: tungstenite::Error) -> Self {
        Self::WebSocket(Box::new(error))
    }
}

/// The connection.
#[derive(Debug)]
pub(crate) struct JsonSocket {
    sink: SplitSink<WebSocketStream<MaybeTlsStream<TcpStream>>, Message>,
    messages: mpsc::UnboundedReceiver<Value>,
    reader: JoinHandle<()>,
}

impl JsonSocket {
    pub(crate) async fn connect(url: &str, protocol: Option<&str>) -> Result<Self, SocketError> {
        let mut request = url.into_client_request()?;
        if let Some(protocol) = protocol {
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol.parse()?);
        }
        let (sink, mut stream) = connect_async(request).await?.0.split();
        let (sender, messages) = mpsc::unbounded_channel();
        let reader = tokio::spawn(async move {
            // Anything but JSON text is ignored.
            while let Some(Ok(message)) = stream.next().await {
                let value = message.to_text().ok().and_then(|text| serde_json::from_str(text).ok());
                if value.is_some_and(|value| sender.send(value).is_err()) {
                    return;
                }
            }
        });
        Ok(Self { sink, messages, reader })
    }

    pub(crate) async fn send(&mut self, message: &Value) -> Result<(), SocketError> {
        Ok(self.sink.send(Message::text(message.to_string())).await?)
    }

    /// The next message for which `pick` returns something; others are skipped.
    pub(crate) async fn wait_for<T>(&mut self, mut pick: impl FnMut(&Value) -> Option<T>) -> Result<T, SocketError> {
        let wait = async {
            while let Some(message) = self.messages.recv().await {
                if let Some(picked) = pick(&message) {
                    return Ok(picked);
                }
            }
            Err(SocketError::Ended)
        };
        timeout(MESSAGE_TIMEOUT, wait).await?
    }
}

impl Drop for JsonSocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
