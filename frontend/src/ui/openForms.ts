/** Forms that were opened and neither saved nor given up, by name: what was typed outlives the page it was typed on. */
export class OpenForms {
  private readonly forms = new Map<string, { first: unknown; now: unknown }>();
  private readonly listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** What the form holds; undefined while it is not open. */
  readonly find = (name: string): unknown => this.forms.get(name)?.now;

  /** Whether anything was typed that would be lost. */
  readonly changed = (): boolean => [...this.forms.values()].some(({ first, now }) => first !== now);

  open(name: string, first: unknown): void {
    this.forms.set(name, { first, now: first });
    this.tell();
  }

  change(name: string, now: unknown): void {
    const form = this.forms.get(name);
    if (!form) return;
    this.forms.set(name, { ...form, now });
    this.tell();
  }

  close(name: string): void {
    if (this.forms.delete(name)) this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
