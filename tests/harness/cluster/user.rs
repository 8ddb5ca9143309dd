//! A developer with a certificate of the cluster's own authority, who may nothing until a Role says so.

use std::{path::Path, process::Command, time::Duration};

use serde_json::{Value, json};

use super::{kubectl, said, tell};
use crate::eventually::eventually;

/// The kubeconfig of a user by this name.
pub(super) fn kubeconfig(admin: &Path, name: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let (key, request) = (folder.path().join("key"), folder.path().join("request"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", &format!("/CN={name}")]);
    said(openssl.arg("-keyout").arg(&key).arg("-out").arg(&request));
    let object = format!("mirrord-story-{name}-{}", std::process::id());
    let wish = json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": { "name": object },
        "spec": {
            "request": base64(&request),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        },
    });
    tell(kubectl(admin).args(["create", "-f", "-"]), &wish.to_string());
    said(kubectl(admin).args(["certificate", "approve", &object]));
    let certificate = eventually("a certificate of the cluster", Duration::from_secs(20), || {
        let path = "jsonpath={.status.certificate}";
        let certificate = said(kubectl(admin).args(["get", "csr", &object, "-o", path]));
        (!certificate.is_empty()).then_some(certificate)
    });
    said(kubectl(admin).args(["delete", "csr", &object, "--wait=false"]));
    let view = said(kubectl(admin).args(["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]));
    let view: Value = serde_json::from_str(&view).unwrap();
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "story",
        "clusters": [{ "name": "story", "cluster": view["clusters"][0]["cluster"] }],
        "users": [{
            "name": name,
            "user": { "client-certificate-data": certificate, "client-key-data": base64(&key) },
        }],
        "contexts": [{ "name": "story", "context": { "cluster": "story", "user": name } }],
    })
}

fn base64(path: &Path) -> String {
    said(Command::new("openssl").args(["base64", "-A", "-in"]).arg(path))
}
