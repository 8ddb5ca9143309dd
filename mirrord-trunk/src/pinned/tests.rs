//! Who may speak to whom, over real sockets.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;

async fn pair() -> (Strand, Strand) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    (Box::new(near), Box::new(far))
}

#[tokio::test]
async fn two_who_know_each_other_speak() {
    let (near_key, far_key) = (Identity::new().unwrap(), Identity::new().unwrap());
    let (near, far) = pair().await;
    let (near_pin, far_pin) = (far_key.public(), near_key.public());
    let (near, far) = tokio::join!(connect(near, &near_key, &near_pin), accept(far, &far_key, &far_pin));
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    near.write_all(b"who is there").await.unwrap();
    near.flush().await.unwrap();
    let mut heard = [0; 12];
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"who is there");
}

#[tokio::test]
async fn a_far_side_with_another_key_is_refused() {
    let (near_key, far_key) = (Identity::new().unwrap(), Identity::new().unwrap());
    let (near, far) = pair().await;
    let (wrong, far_pin) = (Identity::new().unwrap().public(), near_key.public());
    let (near, far) = tokio::join!(connect(near, &near_key, &wrong), accept(far, &far_key, &far_pin));
    assert!(near.is_err());
    assert!(far.is_err());
}

#[tokio::test]
async fn a_near_side_with_another_key_is_refused() {
    let (near_key, far_key) = (Identity::new().unwrap(), Identity::new().unwrap());
    let (near, far) = pair().await;
    let (near_pin, wrong) = (far_key.public(), Identity::new().unwrap().public());
    let (near, far) = tokio::join!(connect(near, &near_key, &near_pin), accept(far, &far_key, &wrong));
    assert!(far.is_err());
    let outcome = match near {
        Ok(mut near) => near.read_u8().await.map(drop),
        Err(error) => Err(error),
    };
    assert!(outcome.is_err(), "the refused side reads nothing");
}

#[tokio::test]
async fn one_who_speaks_no_tls_is_refused() {
    let far_key = Identity::new().unwrap();
    let (mut near, far) = pair().await;
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(accept(far, &far_key, &far_key.public()).await.is_err());
}

#[test]
fn a_public_key_reads_back_as_it_is_written() {
    let key = Identity::new().unwrap().public();
    let text = key.to_string();
    assert_eq!(text.len(), 64);
    assert_eq!(text.parse(), Ok(key));
    for wrong in ["", "00", &text[1..], &text.to_uppercase().replace('0', "A"), &format!("{text}0")] {
        assert_eq!(wrong.parse::<PublicKey>(), Err(BadPublicKey(wrong.to_owned())));
    }
}
