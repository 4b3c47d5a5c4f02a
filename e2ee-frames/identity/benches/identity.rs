//! What a device pays: a sign-in is one stretch, everything else is small beside it.

use criterion::{Criterion, criterion_group, criterion_main};
use e2ee_identity::{
    AccountId, AccountName, BackupCode, BlobName, DeviceCert, DeviceKeys, DeviceKind, DeviceList, IdentityKey,
    Parameters, Password, PasswordKeys, TotpSecret, VaultKey,
};
use std::{error::Error, hint::black_box};

const ACCOUNT: AccountId = AccountId([1; 16]);

fn random(bytes: &mut [u8]) {
    bytes.fill(7);
}

fn stretching(c: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let (ada, password) = (AccountName::new("https://call.example", "ada")?, Password::new("correct horse")?);
    let mut group = c.benchmark_group("stretch");
    group.sample_size(10);
    for (name, memory, passes) in [("64 MiB, t 3", 65_536, 3), ("256 MiB, t 8", 262_144, 8)] {
        let parameters = Parameters::new(memory, passes, 1)?;
        group.bench_function(name, |b| {
            b.iter(|| black_box(PasswordKeys::stretch(&password, &ada, &[1; 16], parameters)).is_ok());
        });
    }
    group.finish();
    Ok(())
}

fn archive(c: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let ada = AccountName::new("https://call.example", "ada")?;
    let code = BackupCode::draw(&mut random);
    c.bench_function("code: keys", |b| b.iter(|| black_box(code.keys(&ACCOUNT, &ada)).id));
    let (vault, key) = (VaultKey::draw(&mut random), code.keys(&ACCOUNT, &ada).wrap);
    let wrap = vault.wrap(&ACCOUNT, &key, &mut random)?;
    c.bench_function("wrap: open", |b| b.iter(|| VaultKey::open(black_box(&wrap), &ACCOUNT, &key, 1).is_ok()));
    let name = BlobName::new(b"contacts")?;
    let contents = [3; 12_000];
    c.bench_function("blob of 12 kB: seal", |b| {
        b.iter(|| black_box(vault.seal_blob(&ACCOUNT, &name, 1, &contents, &mut random)).is_ok());
    });
    let sealed = vault.seal_blob(&ACCOUNT, &name, 1, &contents, &mut random)?;
    c.bench_function("blob of 12 kB: open", |b| {
        b.iter(|| black_box(vault.open_blob(&ACCOUNT, &name, 1, &sealed)).is_ok());
    });
    let totp = TotpSecret::draw(&mut random);
    c.bench_function("totp: verify", |b| b.iter(|| black_box(totp.verify("123456", 1_800_000_000, None))));
    Ok(())
}

fn devices(c: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let ada = AccountName::new("https://call.example", "ada")?;
    let identity = IdentityKey::draw(&mut random);
    let certs = (0..16u8)
        .map(|seed| {
            let keys = DeviceKeys::from_seeds(&[seed; 32], &[seed; 32]);
            keys.certify(&ACCOUNT, &identity.public(), 20_000, DeviceKind::BROWSER, &[0; 32])
        })
        .collect::<Vec<_>>();
    c.bench_function("certificate: verify", |b| {
        b.iter(|| certs.first().map(|cert| black_box(DeviceCert::parse(cert)).is_ok()));
    });
    let parsed = certs.iter().map(|cert| DeviceCert::parse(cert)).collect::<Result<Vec<_>, _>>()?;
    c.bench_function("list of 16: sign", |b| {
        b.iter(|| black_box(identity.sign_devices(&ACCOUNT, &ada, None, &parsed)).is_ok());
    });
    let list = identity.sign_devices(&ACCOUNT, &ada, None, &parsed)?;
    c.bench_function("list of 16: verify", |b| b.iter(|| black_box(DeviceList::parse(&list, &ada)).is_ok()));
    Ok(())
}

fn all(c: &mut Criterion) {
    for run in [stretching, archive, devices] {
        if let Err(error) = run(c) {
            panic!("{error}");
        }
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
