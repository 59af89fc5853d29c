//! Consumers beside the stages.

use fineo::{Fineo, Stage, core::ShardId, ingest::Tap};

use crate::support::{ingest, instances, tenant};

async fn raw_tap(fineo: &Fineo, consumer: &str) -> Tap {
    let shards = fineo.parts().raw.shards().await.unwrap();
    let shard: &ShardId = &shards[0].id;
    fineo.pipeline().tap(Stage::Raw, shard, consumer).await.unwrap()
}

async fn take(tap: &mut Tap, count: usize) -> Vec<fineo::core::Position> {
    let mut positions = Vec::new();
    while positions.len() < count {
        let batch = tap.next().await.unwrap().expect("the shard is open");
        positions.extend(batch.iter().map(|delivery| delivery.position));
    }
    positions
}

// O4: each consumer has positions of its own, and who lost a tap cannot move them.
#[tokio::test]
async fn each_consumer_goes_on_where_it_committed_last() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        let mut audit = raw_tap(fineo, "audit").await;
        let mut alarms = raw_tap(fineo, "alarms").await;
        let events = (0..3).map(|n| format!("{{\"metrictype\":\"m\",\"timestamp\":{n}}}\n"));
        ingest(fineo, &acme, events.collect::<String>()).await;

        let seen = take(&mut audit, 3).await;
        assert_eq!(take(&mut alarms, 3).await, seen, "{}", instance.backend);
        audit.commit(seen[1]).await.unwrap();

        let mut again = raw_tap(fineo, "audit").await;
        assert_eq!(take(&mut again, 1).await, [seen[2]], "{}", instance.backend);
        assert!(audit.commit(seen[2]).await.is_err(), "{}: a tap that was taken over commits", instance.backend);
        assert_eq!(take(&mut raw_tap(fineo, "alarms").await, 3).await, seen, "{}", instance.backend);
        again.end().await.unwrap();
    }
}
