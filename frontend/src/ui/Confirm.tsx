import { type ReactNode, useEffect, useId, useRef } from "react";
import { Button } from "./controls";

interface ConfirmProps {
  title: string;
  children: ReactNode;
  action: string;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks before something that cannot be taken back. The browser's dialog keeps the focus inside. */
export function Confirm({ title, children, action, onConfirm, onClose }: ConfirmProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => ref.current?.showModal(), []);
  return (
    <dialog ref={ref} className="dialog" aria-labelledby={heading} onClose={onClose}>
      <h2 id={heading}>{title}</h2>
      <p>{children}</p>
      <div className="dialog-actions">
        <Button onClick={onClose}>Keep</Button>
        <Button look="danger" onClick={onConfirm}>
          {action}
        </Button>
      </div>
    </dialog>
  );
}
