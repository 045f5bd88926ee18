/*
 * The kernel that kvm_probe boots: the few things that every ordinary guest
 * does and a KVM that is there in name only does not get through.
 *
 * It is its own firmware.  kvm_probe.c puts it at the start of a 64 KiB ROM with
 * a jump to it at the processor's reset vector.  It copies itself to RAM and
 * goes from real to protected to long mode; in each stage it tries one thing,
 * and then writes that stage's letter to the debug console (port 0xe9).  After
 * the last it writes 0x2a to isa-debug-exit (port 0xf4), which ends QEMU.
 * There is no error exit: what fails hangs, or resets the machine, and the last
 * letter tells where.  The stages are listed in kvm_probe.c.
 *
 * This is data of the daemon: no address here is relocated, all are computed
 * from the place in RAM, 0x8000.
 */
#define BASE       0x8000
#define AT(label)  (label - kvm_probe_kernel + BASE)
#define STACK      0x7000
#define PAGE_TABLE 0x1000 /* four pages: levels 4, 3, 2, 2 */
#define IDT        0x5000
#define FXSAVE     0x6000
#define APIC       0xfee00000
#define HIGH       0xffffffff80000000 /* where kernels live */

#define SEL_CODE32 0x08
#define SEL_DATA   0x10
#define SEL_CODE64 0x18

#define TICKS 4         /* timer interrupts to wait for */
#define WORK  300000000 /* instructions: a tenth of a second, or minutes */

#define SAY(letter) movb $letter, %al; outb %al, $0xe9

    .section .rodata
    .globl kvm_probe_kernel, kvm_probe_kernel_end
    .balign 16
kvm_probe_kernel:
    .code16
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    xorw %ax, %ax
    movw %ax, %es
    movw %ax, %ss
    movw $STACK, %sp
    xorw %si, %si
    movw $BASE, %di
    movw $(kvm_probe_kernel_end - kvm_probe_kernel), %cx
    rep movsb
    ljmp $0, $AT(real)

real:
    movw %ax, %ds
    SAY('R')
    lgdtl AT(gdt_pointer)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $SEL_CODE32, $AT(protected)

    .code32
protected:
    movl $SEL_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $STACK, %esp
    SAY('P')

    /* The first 2 MiB, at their own address and at HIGH; and the APIC. */
    movl $PAGE_TABLE, %edi
    xorl %eax, %eax
    movl $0x1000, %ecx
    rep stosl
    movl $(PAGE_TABLE + 0x1003), PAGE_TABLE
    movl $(PAGE_TABLE + 0x1003), PAGE_TABLE + 511 * 8
    movl $(PAGE_TABLE + 0x2003), PAGE_TABLE + 0x1000
    movl $(PAGE_TABLE + 0x2003), PAGE_TABLE + 0x1000 + 510 * 8
    movl $(PAGE_TABLE + 0x3003), PAGE_TABLE + 0x1000 + 3 * 8
    movl $0x83, PAGE_TABLE + 0x2000
    movl $(APIC + 0x93), PAGE_TABLE + 0x3000 + (APIC >> 21 & 511) * 8
    movl $PAGE_TABLE, %eax
    movl %eax, %cr3
    movl $0x20, %eax /* PAE */
    movl %eax, %cr4
    movl $0xc0000080, %ecx /* EFER */
    rdmsr
    orl $0x100, %eax /* LME */
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax /* PG */
    movl %eax, %cr0
    ljmpl $SEL_CODE64, $AT(long_mode)

    .code64
long_mode:
    movabsq $(HIGH + AT(high)), %rax
    jmpq *%rax
high:
    movabsq $(HIGH + STACK), %rsp
    SAY('L')

    xorl %eax, %eax
    cpuid
    cmpl $1, %eax
    jb stop
    movl $0x80000001, %eax
    cpuid
    btl $29, %edx /* long mode */
    jnc stop
    SAY('C')

    /* An invalid instruction, and the way back from its handler. */
    movl $AT(invalid), %eax
    movl $(IDT + 6 * 16), %edi
    call set_gate
    lidt AT(idt_pointer)
    ud2
    SAY('E')

    /* The timer of the local APIC, periodic, at vector 32. */
    movl $AT(tick), %eax
    movl $(IDT + 32 * 16), %edi
    call set_gate
    movl $APIC, %esi
    movl $0x1ff, 0xf0(%rsi)     /* on */
    movl $0xb, 0x3e0(%rsi)      /* undivided */
    movl $0x20020, 0x320(%rsi)  /* periodic, vector 32 */
    movl $1000000, 0x380(%rsi)  /* a millisecond or less */
    xorl %ebx, %ebx
wait:
    sti
    hlt
    cli
    cmpl $TICKS, %ebx
    jb wait
    movl $0x10000, 0x320(%rsi) /* masked */
    SAY('T')

    /* SSE. */
    movl $0x80000013, %eax /* no EM */
    movq %rax, %cr0
    movl $0x620, %eax /* OSFXSR, OSXMMEXCPT, PAE */
    movq %rax, %cr4
    fninit
    movl $FXSAVE, %edi
    movl $21, %eax
    cvtsi2sdl %eax, %xmm0
    addsd %xmm0, %xmm0
    fxsave (%rdi)
    fxrstor (%rdi)
    cvttsd2si %xmm0, %eax
    cmpl $42, %eax
    jne stop
    SAY('F')

    /* The 16-byte exchange of an ordinary kernel's allocator. */
    xorl %eax, %eax
    xorl %edx, %edx
    movq %rax, (%rdi)
    movq %rdx, 8(%rdi)
    movl $1, %ebx
    movl $2, %ecx
    lock cmpxchg16b (%rdi)
    jne stop
    cmpq $2, 8(%rdi)
    jne stop
    SAY('A')

    movl $(WORK / 3), %ecx
work:
    addq %rcx, %rdx
    decl %ecx
    jnz work
    SAY('W')

    movb $0x2a, %al
    outb %al, $0xf4
stop:
    hlt
    jmp stop

/* set_gate: handler %eax into the gate at %edi. */
set_gate:
    movw %ax, (%rdi)
    movw $SEL_CODE64, 2(%rdi)
    movl $0x8e00, 4(%rdi)
    movw $(HIGH >> 16) & 0xffff, 6(%rdi)
    movl $(HIGH >> 32), 8(%rdi)
    ret

invalid:
    addq $2, (%rsp) /* past the ud2 */
    iretq

tick:
    incl %ebx
    movl $0, 0xb0(%rsi) /* end of interrupt */
    iretq

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* SEL_CODE32 */
    .quad 0x00cf93000000ffff /* SEL_DATA */
    .quad 0x00af9b000000ffff /* SEL_CODE64 */
gdt_pointer:
    .word 4 * 8 - 1
    .quad AT(gdt)
idt_pointer:
    .word 33 * 16 - 1
    .quad HIGH + IDT
kvm_probe_kernel_end:

    .section .note.GNU-stack, "", @progbits
