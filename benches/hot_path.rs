//! Time of each piece of the way of a message: `cargo bench --bench hot_path [NAME]`.

mod bodies;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn hot_path(criterion: &mut Criterion) {
    for body in &bodies::BODIES {
        let (area, name) = body.name.split_once('/').expect("a name is AREA/WHAT");
        let mut group = criterion.benchmark_group(area);
        group.throughput(Throughput::Elements(body.items));
        let mut run = (body.prepare)();
        group.bench_function(name, |bencher| bencher.iter(&mut run));
        group.finish();
    }
}

criterion_group!(benches, hot_path);
criterion_main!(benches);
