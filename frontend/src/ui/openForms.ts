/** A form that is open: what it held first and holds now, and how it stands with saving it. */
export interface FormState {
  first: unknown;
  now: unknown;
  busy: boolean;
  /** Why it was not saved. */
  error: unknown;
}

/** Forms that were opened and neither saved nor given up, by name: what was typed outlives the page it was typed on. */
export class OpenForms {
  private readonly forms = new Map<string, FormState>();
  private readonly listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Undefined while it is not open. */
  readonly find = (name: string): FormState | undefined => this.forms.get(name);

  /** Whether anything was typed that would be lost. */
  readonly changed = (): boolean => [...this.forms.values()].some(({ first, now }) => first !== now);

  open(name: string, first: unknown): void {
    this.set(name, { first, now: first, busy: false, error: null });
  }

  change(name: string, now: unknown): void {
    const form = this.forms.get(name);
    if (form) this.set(name, { ...form, now });
  }

  close(name: string): void {
    if (this.forms.delete(name)) this.tell();
  }

  /** Closes the form when it was sent, on whichever page its member is by then; only once at a time. */
  async save(name: string, send: () => Promise<unknown>): Promise<void> {
    const form = this.forms.get(name);
    if (!form || form.busy) return;
    this.set(name, { ...form, busy: true, error: null });
    // Given up and opened anew meanwhile, it is another one.
    const same = () => this.forms.get(name)?.first === form.first;
    try {
      await send();
      if (same()) this.close(name);
    } catch (error) {
      const now = this.forms.get(name);
      if (now && same()) this.set(name, { ...now, busy: false, error });
    }
  }

  private set(name: string, form: FormState): void {
    this.forms.set(name, form);
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
