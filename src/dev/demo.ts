export interface DemoFlags {
  readonly once?: boolean;
}

export async function demo(flags: DemoFlags): Promise<void> {
  throw new Error(`not yet ${flags.once}`);
}
