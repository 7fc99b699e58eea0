//! What is generated from `proto/etcd.proto`.

tonic::include_proto!("etcdserverpb");
