/**
 * A controller replica in a process of its own, so that tests can kill and stop it. Its parent hands the settings over
 * in the environment; a message `{ crashAfter: 3 }` makes it die, as by kill -9, when its third write from now on has
 * been answered.
 */
import { pino } from "pino";
import type { ServeConfig } from "../../src/config.ts";
import { ClusterWriter } from "../../src/k8s/apply.ts";
import { startControllerRole } from "../../src/roles/controller.ts";

const config = JSON.parse(process.env["CONTROLLER_CONFIG"] ?? "") as ServeConfig;
let writesLeft = Number.POSITIVE_INFINITY;

// oxlint-disable-next-line typescript/unbound-method
const write = ClusterWriter.prototype.execute;
ClusterWriter.prototype.execute = async function (this: ClusterWriter, action) {
  const answer = await write.call(this, action);
  writesLeft -= 1;
  if (writesLeft <= 0) process.kill(process.pid, "SIGKILL");
  return answer;
};

process.on("disconnect", () => process.exit());
process.on("message", (message: { readonly crashAfter: number }) => {
  writesLeft = message.crashAfter;
  process.send?.({ armed: true });
});

const log = pino({ level: process.env["FAIRLEAD_TEST_LOG"] ?? "silent" });
const { half, operationsUrl } = await startControllerRole(config, log);
const tell = (leading: boolean): void => void process.send?.({ leading });
half.election.onChange(tell);
process.send?.({ operationsUrl });
if (half.election.isLeader) tell(true);
