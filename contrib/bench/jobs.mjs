// graphile-worker 0.18 on the same server: no-op jobs, batched as it can be.
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";

const [connectionString, count] = [process.env.PGURL, Number(process.argv[2])];
const pool = new pg.Pool({ connectionString, max: 30 });
pool.on("error", () => {});
pool.on("connect", (client) => client.on("error", () => {}));
const worker = {
  concurrentJobs: 24, pollInterval: 100,
  localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0,
  logger: new Logger(() => () => {}),
};
const utils = await makeWorkerUtils({ pgPool: pool });
await utils.migrate();
await pool.query(
  "select graphile_worker.add_jobs(array(select row('nothing', '{\"n\": 1}'::json," +
  " null, null, null, null, null, null)::graphile_worker.job_spec from generate_series(1, $1)))",
  [count]);
await pool.query("vacuum analyze");
let done = 0, start = 0, over;
const all = new Promise((resolve) => { over = resolve; });
const runner = await run({
  pgPool: pool, preset: { worker },
  noHandleSignals: true,
  taskList: {
    nothing: async () => {
      start ||= performance.now();
      if (++done === count) over();
    },
  },
});
await all;
await runner.stop();	// what is done is written by then
console.log(Math.round(count / ((performance.now() - start) / 1000)));
await utils.release();
await pool.end();
