import { existsSync, readFileSync } from "node:fs";
import { resolveBinary } from "./control-plane/binaries.ts";
import { screen, seconds } from "./demo/screen.ts";
import { ROOT, Stage, StoryError } from "./demo/stage.ts";
import { STORY, tell } from "./demo/story.ts";

/** The flags of `fairlead demo`, as commander hands them over. */
export interface DemoFlags {
  readonly once?: boolean;
}

/** As a shell counts a command that was interrupted. */
const EXIT_INTERRUPTED = 130;
const LOG_TAIL_LINES = 10;

/** A real control plane and Fairlead in front of it, told as a story. Each step is checked: what fails, exits with 1. */
export async function demo(flags: DemoFlags): Promise<void> {
  process.chdir(ROOT);
  const interruption = new Interruption();
  const startMs = performance.now();
  const stage = new Stage();
  screen.heading("Fairlead: real kubectl writes, a real API server");
  try {
    await stage.setUp();
    await tell(stage);
    const took = seconds(performance.now() - startMs);
    screen.line();
    screen.heading(`${STORY.length} of ${STORY.length} steps went as told, in ${took}.`);
    if (!flags.once) await stayUp(stage, interruption);
  } catch (error) {
    fail(error, stage);
  } finally {
    await stage.tearDown();
  }
  // An idle connection must not keep a finished demo alive, and neither must the handlers of the signals.
  process.exit();
}

/**
 * Until somebody waits for it, an interruption ends the process at once: what the control plane started ends with
 * it. Under npm one Ctrl-C arrives twice, so the handlers stay.
 */
class Interruption {
  #onSignal = (): void => process.exit(EXIT_INTERRUPTED);

  constructor() {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => this.#onSignal());
  }

  wait(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onSignal = resolve;
    return promise;
  }
}

async function stayUp({ controlPlane, fairlead }: Stage, interruption: Interruption): Promise<void> {
  const interrupted = interruption.wait();
  const kubectl = await resolveBinary("kubectl");
  const lines = [
    "",
    "It stays up until Ctrl-C. To play with it, in another terminal:",
    "",
    `  export KUBECONFIG=${controlPlane.kubeconfigPath}`,
    `  alias kubectl=${kubectl}`,
    "",
    "  kubectl apply -f examples/breaker.yaml && kubectl get service orders -n shop -o yaml",
    "  kubectl annotate service policy-service -n iam-policy-service retry.linkerd.io/limit=many --overwrite",
    `  curl -s ${fairlead.operationsUrl}/metrics | grep ^fairlead_`,
  ];
  for (const text of lines) screen.line(text);
  await interrupted;
  screen.line("\nStopping.");
}

/** A story that did not come true is told in words; anything else is a fault of ours and shows where. */
function fail(error: unknown, stage: Stage): void {
  process.exitCode = 1;
  const isTold = error instanceof StoryError || !stage.isUp;
  const words = error instanceof Error ? ((isTold ? undefined : error.stack) ?? error.message) : String(error);
  process.stderr.write(`\nfairlead demo: ${stage.isUp ? "It did not go as told. " : ""}${words}\n`);
  if (stage.logPath === undefined || !existsSync(stage.logPath)) return;
  const tail = readFileSync(stage.logPath, "utf8").trimEnd().split("\n").slice(-LOG_TAIL_LINES);
  process.stderr.write(`\nThe end of Fairlead's log:\n${tail.join("\n")}\n`);
}
