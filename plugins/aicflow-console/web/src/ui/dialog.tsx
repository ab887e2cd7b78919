/** A modal dialog or drawer: focus is kept in it, Escape closes it, focus goes back. */
import type { ReactNode } from "react";
import { Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";

export interface DialogProps {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  drawer?: boolean;
  className?: string;
  children: ReactNode;
}

export function ModalDialog({ title, isOpen, onClose, drawer = false, className = "", children }: DialogProps) {
  return (
    <ModalOverlay
      className={drawer ? "overlay drawer" : "overlay"}
      isOpen={isOpen}
      onOpenChange={(open) => !open && onClose()}
      isDismissable
    >
      <Modal className={`dialog ${className}`}>
        <Dialog>
          <Heading slot="title" level={2}>
            {title}
          </Heading>
          {children}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
