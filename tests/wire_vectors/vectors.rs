//! The bytes. A line is a field of `docs/protocol.md`; what follows `;` is a remark.

pub const RECORD: &str = "
    8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c ; key
    0000019900000001   ; incarnation
    00000002           ; record seq
    148f               ; chat port
    02                 ; flags: DEAF
    01                 ; status: away
    08                 ; status text length
    6174206c756e6368   ; status text
    03                 ; name length
    416e61             ; name
    02                 ; rooms
    00                 ; room type
    05                 ; room length
    6c6f626279         ; room
    01                 ; room type
    08                 ; room length
    a0a1a2a3b0b1b2b3   ; room
    63                 ; extension type
    0003               ; extension length
    e0e1e2             ; extension
    0abf2ee268eb71cc7862443a801a8293a9405202eb762658498f0ecdd6dff422 ; record signature
    cf6b3ac3eb7c367b29e8811e95cd86d238d419f369f761d82920ef53eefe700c
";

pub const ENTRY: &str = "
    4cdc1ed9cbaca90a   ; room
    8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c ; author
    4e4e4e4e4e4e4e4e   ; network
    0000019900000002   ; epoch
    00000002           ; seq
    0199000000030001   ; hlc
    5050505050505050505050505050505050505050505050505050505050505050 ; prev
    02                 ; kind
    01                 ; deps
    60606060606060606060606060606060 ; dep
    b978f65679ec2a23a48729f32be767b6066df41ae29955d9d60fd516400fb11f ; body hash
    0005               ; body length
    7761766573         ; body
    8ada62a75772f084e3e7fb262c2a6c24093bbbeb01b894925368607a8ce999fc ; entry signature
    6b6efef8662123112306814d45f4cab91882a95df120f6dd6c17f6c9d34b5f02
";

pub const HELLO: &str = "
    0c                 ; magic
    01                 ; version
    01                 ; type
    01                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    03                 ; name length
    416e61             ; name
    0095               ; record length
    8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c ; key
    0000019900000001   ; incarnation
    00000002           ; record seq
    148f               ; chat port
    02                 ; flags: DEAF
    01                 ; status: away
    08                 ; status text length
    6174206c756e6368   ; status text
    03                 ; name length
    416e61             ; name
    02                 ; rooms
    00                 ; room type
    05                 ; room length
    6c6f626279         ; room
    01                 ; room type
    08                 ; room length
    a0a1a2a3b0b1b2b3   ; room
    63                 ; extension type
    0003               ; extension length
    e0e1e2             ; extension
    0abf2ee268eb71cc7862443a801a8293a9405202eb762658498f0ecdd6dff422 ; record signature
    cf6b3ac3eb7c367b29e8811e95cd86d238d419f369f761d82920ef53eefe700c
    6e6e6e6e6e6e6e6e   ; nonce
    01                 ; logs
    4cdc1ed9cbaca90a   ; room
    0000019900000002   ; epoch
    00000005           ; seq
    00                 ; known type
    02                 ; known ids
    1eed29b1           ; id
    9c380d6e           ; id
    a06060ace7cc96a792d0340774b1298fd1656a9fce5bf603f07dbe8cf251807a ; signature
    0c710cc856728e684a420c0d64dcc7184fbafea3ef9ef32b6b34067e46d9100b
";

pub const HELLO_BLOOM: &str = "
    0c                 ; magic
    01                 ; version
    01                 ; type
    02                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    03                 ; name length
    416e61             ; name
    0095               ; record length
    8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c ; key
    0000019900000001   ; incarnation
    00000002           ; record seq
    148f               ; chat port
    02                 ; flags: DEAF
    01                 ; status: away
    08                 ; status text length
    6174206c756e6368   ; status text
    03                 ; name length
    416e61             ; name
    02                 ; rooms
    00                 ; room type
    05                 ; room length
    6c6f626279         ; room
    01                 ; room type
    08                 ; room length
    a0a1a2a3b0b1b2b3   ; room
    63                 ; extension type
    0003               ; extension length
    e0e1e2             ; extension
    0abf2ee268eb71cc7862443a801a8293a9405202eb762658498f0ecdd6dff422 ; record signature
    cf6b3ac3eb7c367b29e8811e95cd86d238d419f369f761d82920ef53eefe700c
    6e6e6e6e6e6e6e6e   ; nonce
    01                 ; logs
    4cdc1ed9cbaca90a   ; room
    0000019900000002   ; epoch
    00000005           ; seq
    01                 ; known type
    08                 ; hash functions
    0003               ; filter length
    244992             ; filter
    64079486c6e8a4675a6199941f3e74ce6ffb9672cd1b493d09883a024cc8005b ; signature
    e43b0333557a92b7a42066ed185d27854954bfa21146a76f59b4948c1691620f
";

pub const WELCOME: &str = "
    0c                 ; magic
    01                 ; version
    02                 ; type
    00                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    0095               ; record length
    8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c ; key
    0000019900000001   ; incarnation
    00000002           ; record seq
    148f               ; chat port
    02                 ; flags: DEAF
    01                 ; status: away
    08                 ; status text length
    6174206c756e6368   ; status text
    03                 ; name length
    416e61             ; name
    02                 ; rooms
    00                 ; room type
    05                 ; room length
    6c6f626279         ; room
    01                 ; room type
    08                 ; room length
    a0a1a2a3b0b1b2b3   ; room
    63                 ; extension type
    0003               ; extension length
    e0e1e2             ; extension
    0abf2ee268eb71cc7862443a801a8293a9405202eb762658498f0ecdd6dff422 ; record signature
    cf6b3ac3eb7c367b29e8811e95cd86d238d419f369f761d82920ef53eefe700c
    00000003           ; digest count
    d1d1d1d1d1d1d1d1   ; digest xor
    6e6e6e6e6e6e6e6e   ; echo
    6f6f6f6f6f6f6f6f   ; nonce
    04                 ; token length
    70707070           ; token
    01                 ; logs
    4cdc1ed9cbaca90a   ; room
    0000019900000002   ; epoch
    00000005           ; seq
    3031ec78248ce733187e9b9b7a85402d64a4f0a574a5317d39dab4e7419ae2ec ; signature
    9e1f7ffea534a93ceb912362aea9df5daa80f20398d3273cf0ab8d03c7c8d708
";

pub const HEARTBEAT: &str = "
    0c                 ; magic
    01                 ; version
    03                 ; type
    03                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    f6b2f9b5665abbde   ; record hash
    00000003           ; digest count
    d1d1d1d1d1d1d1d1   ; digest xor
    01                 ; news
    1eed29b1654fbca9   ; id
    0000019900000004   ; incarnation
    00000007           ; record seq
    02                 ; heard
    10111213           ; id
    0a                 ; paths
    20212223           ; id
    04                 ; paths
    000003e8           ; group sent
    33                 ; loss
    01                 ; echoes
    9c380d6efec2ec39   ; sender
    00000009           ; sequence
    0000007d           ; hold
    01                 ; rooms
    4cdc1ed9cbaca90a   ; room
    d2d2d2d2d2d2d2d2   ; room digest
    01                 ; heads
    1eed29b1654fbca9   ; author
    0000019900000005   ; epoch
    0000000b           ; seq
    92d2604c7babf3adb69bc6e5c22bc8517ed223fabcde6cba09a691c7f57cb987 ; signature
    8df04db8cf280bd5168631a244edc6f1d1cfe4a2128d9bc9f0eac19c98247a07
";

pub const GOODBYE: &str = "
    0c                 ; magic
    01                 ; version
    04                 ; type
    02                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    cb79a7a630097a403d9f4c0c48448e28806329563a42657dd6cb6b4d21a1b79d ; signature
    b5f8ea4d5ba28c476e93914e87d999587191580c2dc0b1495d682dca817d5507
";

pub const PROBE: &str = "
    0c                 ; magic
    01                 ; version
    05                 ; type
    00                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    6e6e6e6e6e6e6e6e   ; nonce
    afd49e37ed4bdcfcdea857f63dd801afc601ef4de44de9e93128c9fd29fec724 ; signature
    641ce8ef6d785a339352c2f5808f796c486bb1670d6a6bd83f85cdc25d56d50e
";

pub const PROBE_ACK: &str = "
    0c                 ; magic
    01                 ; version
    06                 ; type
    00                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    6e6e6e6e6e6e6e6e   ; echo
    83c84a9a8f18480c285c16b3a9a8c5479041a4c73fd4a80db2477fd14608acff ; signature
    cb9686e0a3769837a9e2fa7a375e67c043ddbe54ae76b10f5778ee70bf3ce402
";

pub const PROBE_REQUEST: &str = "
    0c                 ; magic
    01                 ; version
    07                 ; type
    00                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    6e6e6e6e6e6e6e6e   ; nonce
    1eed29b1654fbca9   ; target
    fcb72940001aef5f5528c29d344d317d0b7b0e0143eece6c5a17ab6446b2d66d ; signature
    b7eb0fb9c6d71ec6b922a2f1e0a4bc9d16f4a86d6cb2e3cbd6f4b9ca02917200
";

pub const PROBE_REPORT: &str = "
    0c                 ; magic
    01                 ; version
    08                 ; type
    00                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    6e6e6e6e6e6e6e6e   ; echo
    1eed29b1654fbca9   ; target
    0000019900000004   ; incarnation
    50b80b0bd963548e8b8cf1cd2382269d997e1896191572aefef82aa8d779e471 ; signature
    4e47f47d4045eaf6f9802366aa3da043bd175f422fa892b13e3a162e74c7f005
";

pub const SUSPECT: &str = "
    0c                 ; magic
    01                 ; version
    09                 ; type
    01                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    1eed29b1654fbca9   ; target
    0000019900000004   ; incarnation
    b18d2676653664ac17f51e881675840666ead36a106f437892e3e4edca182d47 ; signature
    72f0bb0bb51eba1d4f34fbf7cc42c1b4d6f402b16907d7abdb5f00851fdc9f09
";

pub const ALIVE: &str = "
    0c                 ; magic
    01                 ; version
    0a                 ; type
    01                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    a51d5e62edbd4697ec1dd56363e5f291e5acd6af101a17bd552b9169b0e8e66b ; signature
    73e139cc21ecdf5937f95342b7f22d4160eb84e90fc1691f7899f8088d8f890c
";

pub const SYNC_REQUEST_IDS: &str = "
    0c                 ; magic
    01                 ; version
    0b                 ; type
    00                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    6e6e6e6e6e6e6e6e   ; nonce
    00                 ; token length
    00                 ; want: ids
    02                 ; ids
    1eed29b1654fbca9   ; id
    9c380d6efec2ec39   ; id
    c0eb2ecddae988d54816ac1d3f5db316a55c0e51bbba4b26c2e3a989209467e8 ; signature
    0def44a04ba071de1bee73304fef48f71d76d17fdeff17e150fa2636372c2f0d
";

pub const SYNC_REQUEST: &str = "
    0c                 ; magic
    01                 ; version
    0b                 ; type
    00                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    6e6e6e6e6e6e6e6e   ; nonce
    08                 ; token length
    7070707070707070   ; token
    01                 ; want: range
    0000000000000000   ; first
    ffffffffffffffff   ; last
    02                 ; buckets
    d3d3d3d3d3d3d3d3   ; bucket
    d4d4d4d4d4d4d4d4   ; bucket
    3cba950dac6672f7c146bb9db11a5f1fa085b085fd292710a1ff4ac68a189392 ; signature
    99f2e74e6b4cf6c19d8e373c947d59851697a4f038015ff9f607ec6a3b9b4b08
";

pub const SYNC_RESPONSE: &str = "
    0c                 ; magic
    01                 ; version
    0c                 ; type
    00                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    6e6e6e6e6e6e6e6e   ; echo
    00000003           ; digest count
    d1d1d1d1d1d1d1d1   ; digest xor
    01                 ; more
    9090909090909090   ; next
    01                 ; records
    0095               ; record length
    8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c ; key
    0000019900000001   ; incarnation
    00000002           ; record seq
    148f               ; chat port
    02                 ; flags: DEAF
    01                 ; status: away
    08                 ; status text length
    6174206c756e6368   ; status text
    03                 ; name length
    416e61             ; name
    02                 ; rooms
    00                 ; room type
    05                 ; room length
    6c6f626279         ; room
    01                 ; room type
    08                 ; room length
    a0a1a2a3b0b1b2b3   ; room
    63                 ; extension type
    0003               ; extension length
    e0e1e2             ; extension
    0abf2ee268eb71cc7862443a801a8293a9405202eb762658498f0ecdd6dff422 ; record signature
    cf6b3ac3eb7c367b29e8811e95cd86d238d419f369f761d82920ef53eefe700c
    04                 ; hint: IPv4
    0a000007           ; address
    148f               ; port
    0003               ; age in seconds
    15b135d2f2134329746f0070f04b1e1aa796b7ae7995a0f45b3fb5e93edc94aa ; signature
    f29aa01c3745cbb63e47b94bfe46d1d944fce88bca793308a41ec3ac4612f905
";

pub const SYNC_CHALLENGE: &str = "
    0c                 ; magic
    01                 ; version
    0d                 ; type
    00                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    6e6e6e6e6e6e6e6e   ; echo
    08                 ; token length
    7070707070707070   ; token
    54b632c845a2ac1be9594fb3d8103c72c4ecd420b8dddc74ba81946e939c0df6 ; signature
    d862f298da32f633f58bcc3f40f4184dec61f2f86270ed9c4f51dd0897cf0c06
";

pub const DATA: &str = "
    0c                 ; magic
    01                 ; version
    10                 ; type
    01                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    4cdc1ed9cbaca90a   ; room
    8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c ; author
    4e4e4e4e4e4e4e4e   ; network
    0000019900000002   ; epoch
    00000001           ; seq
    0199000000030001   ; hlc
    0000000000000000000000000000000000000000000000000000000000000000 ; prev
    01                 ; kind
    00                 ; deps
    ba02b5ae7e469b96eafe5141351899f35ce55900c8ce4d7417a3e20e02356c65 ; body hash
    0007               ; body length
    4772c3bcc39f65     ; body
    84506d604d976a9adc4e7f8a373b592cc55e5cc8bf879dd584db8983f0b32f88 ; entry signature
    d50b11e261692bfe5335de7722bc917ae3a0877225a6713e2cf3678bcc959407
";

pub const REPAIR: &str = "
    0c                 ; magic
    01                 ; version
    11                 ; type
    00                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    02                 ; entries
    00cf               ; entry length
    4cdc1ed9cbaca90a   ; room
    8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c ; author
    4e4e4e4e4e4e4e4e   ; network
    0000019900000002   ; epoch
    00000001           ; seq
    0199000000030001   ; hlc
    0000000000000000000000000000000000000000000000000000000000000000 ; prev
    01                 ; kind
    00                 ; deps
    ba02b5ae7e469b96eafe5141351899f35ce55900c8ce4d7417a3e20e02356c65 ; body hash
    0007               ; body length
    4772c3bcc39f65     ; body
    84506d604d976a9adc4e7f8a373b592cc55e5cc8bf879dd584db8983f0b32f88 ; entry signature
    d50b11e261692bfe5335de7722bc917ae3a0877225a6713e2cf3678bcc959407
    00dd               ; entry length
    4cdc1ed9cbaca90a   ; room
    8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c ; author
    4e4e4e4e4e4e4e4e   ; network
    0000019900000002   ; epoch
    00000002           ; seq
    0199000000030001   ; hlc
    5050505050505050505050505050505050505050505050505050505050505050 ; prev
    02                 ; kind
    01                 ; deps
    60606060606060606060606060606060 ; dep
    b978f65679ec2a23a48729f32be767b6066df41ae29955d9d60fd516400fb11f ; body hash
    0005               ; body length
    7761766573         ; body
    8ada62a75772f084e3e7fb262c2a6c24093bbbeb01b894925368607a8ce999fc ; entry signature
    6b6efef8662123112306814d45f4cab91882a95df120f6dd6c17f6c9d34b5f02
";

pub const HEADS: &str = "
    0c                 ; magic
    01                 ; version
    12                 ; type
    01                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    4cdc1ed9cbaca90a   ; room
    0000019900000002   ; epoch
    00000005           ; seq
    00000002           ; first
    5ca9b3358d8debe2122294310fd44f359caf327da6dc9203171723f39b52b979 ; signature
    ddfffe6938074b30e653d219cf05aa65387c45fa2908a5b53c5552e5abf41505
";

pub const NACK: &str = "
    0c                 ; magic
    01                 ; version
    13                 ; type
    00                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    4cdc1ed9cbaca90a   ; room
    1eed29b1654fbca9   ; author
    0000019900000005   ; epoch
    02                 ; runs
    00000003           ; first
    00000005           ; last
    00000008           ; first
    00000008           ; last
    3c6f76d9b2b889b70b9f0a7fdb575c2abc9d5e47dd70cc31445ebdd8a24bf7f8 ; signature
    2bbcf0725c93fe2445fcbdcbf093e75d9df0b8f4de4d8efbee1c00330f2f5406
";

pub const ACK: &str = "
    0c                 ; magic
    01                 ; version
    14                 ; type
    00                 ; path
    0000               ; flags
    83561adb398fd87f   ; sender
    0000019900000001   ; incarnation
    00000203           ; sequence
    4cdc1ed9cbaca90a   ; room
    0000019900000002   ; epoch
    00000005           ; seq
    b60723b769e3de87517d171066526ce6b5be31dd7311eca712eb0421848875fa ; signature
    95ebcb1a383e799c22cb37ec315b0e65d329646013bb10d9c7f4721c66efd604
";

pub const STUB: &str = "
    4cdc1ed9cbaca90a   ; room
    8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c ; author
    4e4e4e4e4e4e4e4e   ; network
    0000019900000002   ; epoch
    00000001           ; seq
    0199000000030001   ; hlc
    0000000000000000000000000000000000000000000000000000000000000000 ; prev
    01                 ; kind: text
    00                 ; deps
    ba02b5ae7e469b96eafe5141351899f35ce55900c8ce4d7417a3e20e02356c65 ; body hash
    ffff               ; no body any more
    84506d604d976a9adc4e7f8a373b592cc55e5cc8bf879dd584db8983f0b32f88 ; entry signature
    d50b11e261692bfe5335de7722bc917ae3a0877225a6713e2cf3678bcc959407
";

pub const PART: &str = "
    4cdc1ed9cbaca90a   ; room
    8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c ; author
    4e4e4e4e4e4e4e4e   ; network
    0000019900000002   ; epoch
    00000003           ; seq
    0199000000030001   ; hlc
    5050505050505050505050505050505050505050505050505050505050505050 ; prev
    81                 ; kind: text, continued by the next entry
    00                 ; deps
    6b58a8b82eea67441ed6745c1997a3b644072a05ed01b306047c0f6ff45a7684 ; body hash
    0007               ; body length
    61206c6f6e6720     ; body
    928d5071c11ab3aee80e0782dd732d89b2a29516a3e5e03df516fa0df01cab10 ; entry signature
    c19688dcc0e9e33b98369e75f64a4ca54e427dd709e4650f017ee38776cdd203
";

pub const REPLY: &str = "
    4cdc1ed9cbaca90a   ; room
    8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c ; author
    4e4e4e4e4e4e4e4e   ; network
    0000019900000002   ; epoch
    00000004           ; seq
    0199000000030001   ; hlc
    5050505050505050505050505050505050505050505050505050505050505050 ; prev
    04                 ; kind: reply
    01                 ; deps
    02c4d433fc9eeeed4a833a21bc791f72 ; dep: the entry that it answers
    85052e9aab1b67b6622d94a08441b09fd5b7aca61ee360416d70de5da67d86ca ; body hash
    0002               ; body length
    6869               ; body
    0f1ee1fee4b4ac3f0b8177d21d961b5338f5718a836ba4b5e571288a136dc82d ; entry signature
    e066acd43fb5e9047a700399b703b7dadb5ce6770ed3557dcf392dd9994e0300
";
