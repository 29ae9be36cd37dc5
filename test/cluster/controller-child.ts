/**
 * A controller replica in a process of its own, so that tests can kill and stop it. Its parent hands the settings over
 * in the environment; a message `{ signal: "SIGKILL", writes: 3 }` makes it die when its third write from now on has been
 * answered.
 */
import { pino } from "pino";
import type { ServeConfig } from "../../src/config.ts";
import { ClusterWriter } from "../../src/k8s/apply.ts";
import { startControllerRole } from "../../src/roles/controller.ts";
import type { SignalAfter } from "./roles.ts";

const config = JSON.parse(process.env["CONTROLLER_CONFIG"] ?? "") as ServeConfig;
let order: SignalAfter = { signal: "SIGKILL", writes: Number.POSITIVE_INFINITY };
let answered = 0;

// oxlint-disable-next-line typescript/unbound-method
const write = ClusterWriter.prototype.execute;
ClusterWriter.prototype.execute = async function (this: ClusterWriter, action) {
  const answer = await write.call(this, action);
  answered += 1;
  if (answered === order.writes) process.kill(process.pid, order.signal);
  return answer;
};

process.on("disconnect", () => process.exit());
process.on("message", (message: SignalAfter) => {
  order = message;
  answered = 0;
  process.send?.({ armed: true });
});

const log = pino({ level: process.env["FAIRLEAD_TEST_LOG"] ?? "silent" });
const { half, operationsUrl } = await startControllerRole(config, log);
const tell = (leading: boolean): void => void process.send?.({ leading });
half.election.onChange(tell);
process.send?.({ operationsUrl });
if (half.election.isLeader) tell(true);
