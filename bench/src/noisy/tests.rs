use super::*;
use crate::fleet::testing::Ground;
use clap::Parser;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    settings: Settings,
}

fn settings() -> Settings {
    let small = ["noisy", "--quota=5", "--times=40", "--lives=20", "--length=300ms", "--rounds=1"];
    Program::parse_from(small).settings
}

#[test]
fn a_flood_is_kept_to_its_quota_and_a_quiet_tenant_lives() {
    let (ground, settings) = (Ground::with_quotas(&quotas(&settings())), settings());
    let Ground { address, sql, runtime, .. } = &ground;
    let measured = measure(&settings, address, "l_", sql, runtime).unwrap();
    check_limited(&settings, &measured).unwrap();
    assert!(measured.flood.names_quota > 0 && measured.flood.minted.count() >= 5);
    assert_eq!(measured.alone.calls.count() % 3, 0);
    assert!(measured.alone.calls.count() > 0 && measured.beside.calls.count() > 0);
    let told = text(&settings, &[measured], &[]).unwrap();
    assert!(told.contains("QUOTA_EXCEEDED"), "{told}");
    ground.runtime.block_on(ground.db.check_invariants());
}

#[test]
fn without_a_quota_nothing_is_refused_by_one() {
    let (ground, settings) = (Ground::new(), settings());
    let Ground { address, sql, runtime, .. } = &ground;
    let measured = measure(&settings, address, "u_", sql, runtime).unwrap();
    assert_eq!(measured.flood.names_quota, 0);
    assert!(check_limited(&settings, &measured).is_err(), "it would have been noticed");
}
