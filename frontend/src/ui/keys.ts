/** Whether single keys belong to what is typed, or to a dialog, and are no shortcuts. */
export const isTyping = (target: EventTarget | null): boolean => isField(target) || dialogIsOpen();

/** Whether what is typed there becomes text, or a choice. */
export const isField = (target: EventTarget | null): boolean =>
  target instanceof HTMLTextAreaElement ||
  target instanceof HTMLSelectElement ||
  (target instanceof HTMLInputElement && !["radio", "range"].includes(target.type));

/** What lies under a dialog is not there for whoever answers it. */
export const dialogIsOpen = (): boolean => document.querySelector("dialog[open]") !== null;
