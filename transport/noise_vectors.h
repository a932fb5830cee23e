/* Public Noise test vectors for the two suites, numbers only, from haskell-cryptography/cacophony, mcginty/snow and
 * rweather/noise-c (see `source`). messages 0 and 1 are the handshake, the others transport messages, alternating,
 * the initiator first. */
#ifndef TRANSPORT_NOISE_VECTORS_H
#define TRANSPORT_NOISE_VECTORS_H

#define NOISE_VECTOR_MESSAGES_MAX 6

struct noise_vector_message {
    const char *payload; /* hex, as all */
    const char *ciphertext;
};

struct noise_vector {
    const char *source;
    const char *protocol;
    const char *init_prologue;
    const char *resp_prologue;
    const char *init_static;
    const char *init_ephemeral;
    const char *init_remote_static;
    const char *resp_static;
    const char *resp_ephemeral;
    const char *handshake_hash; /* NULL where the source gives none */
    struct noise_vector_message messages[NOISE_VECTOR_MESSAGES_MAX];
};

static const struct noise_vector noise_vectors[] = {
    {
        .source = "haskell-cryptography/cacophony vectors/cacophony.txt",
        .protocol = "Noise_IK_25519_AESGCM_BLAKE2b",
        .init_prologue = "4a6f686e2047616c74",
        .resp_prologue = "4a6f686e2047616c74",
        .init_static = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
        .init_ephemeral = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
        .init_remote_static = "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
        .resp_static = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
        .resp_ephemeral = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
        .handshake_hash = "8ddf8b582c496c745188bfa839b17d70be1682160af9276158d921816b249350"
                          "4976f76644607e07f2c260273c73c4d7e97607e76a838fe1ce3d0f60ee4ada50",
        .messages =
            {
                {"4c756477696720766f6e204d69736573",
                 "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c794"
                 "410ade309f400533fbc81fb0e8b55288091ab5fe35d8c3d5033dbec503bcfa0"
                 "6269d8692447295ef3f3f47a1d6e6048bc4889db4631c5f5d18d37edd34e113"
                 "a664e2eb59ac55371831af42186f54915eb"},
                {"4d757272617920526f746862617264",
                 "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884"
                 "361923da61bbe936aa0e52e679c8a0341ab3e9ebca061b0423d0758f1c92d86"},
                {"462e20412e20486179656b",
                 "76c378c26ad0616d8b5d12fb30069a3d2006f09c736d133b1b00e2"},
                {"4361726c204d656e676572",
                 "44256a9fc73f965bb05905cea2c7f42446fdaeaad4005e3bfd5363"},
                {"4a65616e2d426170746973746520536179",
                 "a760601455d420b671156c561657a8fdc110686208d9ef8f524ad3841f5718f"
                 "fa9"},
                {"457567656e2042f6686d20766f6e2042617765726b",
                 "a718f0df83c0a5e0715f7212aff997d406a65f06660102a7f522d9d5dd8bbd7"
                 "11789825bd4"},
            },
    },
    {
        .source = "haskell-cryptography/cacophony vectors/cacophony.txt",
        .protocol = "Noise_IK_25519_ChaChaPoly_BLAKE2b",
        .init_prologue = "4a6f686e2047616c74",
        .resp_prologue = "4a6f686e2047616c74",
        .init_static = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
        .init_ephemeral = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
        .init_remote_static = "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
        .resp_static = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
        .resp_ephemeral = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
        .handshake_hash = "1c8fa891cb414fedba6daa7c6f4ae0a6d98e5f9768cc9cecd27e805614943ee9"
                          "c8a1b27fbfb76dc197255c8aa69f6b4285c423840b8bedf45e652ca64f797d81",
        .messages =
            {
                {"4c756477696720766f6e204d69736573",
                 "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c794"
                 "4ba83a447b38c83e327ad936929812f624884847b7831e95e197b2f797088ef"
                 "dd2f88f1db7e1fb0e99c64419097af91cee64e470f4b6fcd9298ce0b56fe20f"
                 "86e13bf70439c538e3602a7127af71a29cc"},
                {"4d757272617920526f746862617264",
                 "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884"
                 "39f069b267a06b3de3ecb1043bcb098e9af91d9c64748d998c7b47890871571"},
                {"462e20412e20486179656b",
                 "cd54383060e7a28434cca27fb1cc524cfbabeb18181589df219d07"},
                {"4361726c204d656e676572",
                 "a856d3bf0246bfc476c655009cd1ed677b8dcc5b349ae8ef2a05f2"},
                {"4a65616e2d426170746973746520536179",
                 "49063084b2c51f098337cb8a13739ac848f907e67cfb2cc8a8b60586467aa02"
                 "fc7"},
                {"457567656e2042f6686d20766f6e2042617765726b",
                 "8b9709d23b47e4639df7678d7a21741eba4ef1e9c60383001c7435549c20f9d"
                 "56f30e935d3"},
            },
    },
    {
        .source = "mcginty/snow tests/vectors/snow.txt",
        .protocol = "Noise_IK_25519_ChaChaPoly_BLAKE2b",
        .init_prologue = "5468657265206973206e6f20726967687420616e642077726f6e672e20546865"
                         "72652773206f6e6c792066756e20616e6420626f72696e672e",
        .resp_prologue = "5468657265206973206e6f20726967687420616e642077726f6e672e20546865"
                         "72652773206f6e6c792066756e20616e6420626f72696e672e",
        .init_static = "7d96e7fbefd508f6d553010ef8b53b9800f30bdd1bc82d141c543cc4afe31bde",
        .init_ephemeral = "3fa848b150e958dad41a3e1e455c65c46b773d806a55f4abdcae3f5e3f80d816",
        .init_remote_static = "c2330a71efe7ad7655ad63ec6ac84e0be70c79b3a9808364741e99abe231b240",
        .resp_static = "f192f565f752e8e706d20bd2a71b22d94b804bfeb499ac84391f1af846d1824d",
        .resp_ephemeral = "3092d9e2e44264afea07fd9b43562177e9ae63d65cbdc471d3539247e2ba1a36",
        .messages =
            {
                {"eab1b0a96295a7f0b29f013bf2baa6d74ab79b2b2f69b79764eb97684ca17e5"
                 "d",
                 "4b42c759ee133dc6a49aa1b19fc1727ca3d3876d6ed5479b60fe2963fede0f4"
                 "ff9f68f1540f591b16150d98b3f65371da84c2dcfbf18f02295edcd20fdcf31"
                 "5c83529bc394387fc22bfc8583e23514c28884729838efe481016f828fefca4"
                 "f53c4e61c7ed5a7b297044e11b90a28d2e264ac2335e254c7b636d1d0406aea"
                 "1e3e"},
                {"1a1d45c87a116c31f9704d9c599f833e65dbe1fc511a50fc85e07b440806430"
                 "b",
                 "058e04eada2f87f02ffb22ec049d3d629008eb672976078b61222af7822e9c1"
                 "9b04dc83d279b6d418149e3ba99ff887c64a2f9da7a1ad2c83bbea46759a503"
                 "933f9cfc8c06dbc2b9170a0fb6a5a28740"},
                {"752ce6ebed958e84d2e8ffa89ca929e500bc987d3ba01196f850fe73d732082"
                 "2",
                 "e4a719610c329661dcc3084484c92025c7fadff6910c6d9e8dcdae29d76cd2d"
                 "33c74218a3588732db968a282ba4689ec"},
                {"f7496b1a99db7ba96ce16c642662e966b8323aca4e7c8e2ed51d3e764c05a36"
                 "3",
                 "8cdb272f66c39e16182c1b68a45052f97264ca6a337e338dbdd1121005fb268"
                 "b637d94ecc94ded7352c1e22bf7d2a32d"},
            },
    },
    {
        .source = "mcginty/snow tests/vectors/snow.txt",
        .protocol = "Noise_IK_25519_AESGCM_BLAKE2b",
        .init_prologue = "5468657265206973206e6f20726967687420616e642077726f6e672e20546865"
                         "72652773206f6e6c792066756e20616e6420626f72696e672e",
        .resp_prologue = "5468657265206973206e6f20726967687420616e642077726f6e672e20546865"
                         "72652773206f6e6c792066756e20616e6420626f72696e672e",
        .init_static = "cf931bd05310f3d8609ce50be37832f9b3ead67c983229c8f175d78d8255008a",
        .init_ephemeral = "05b4bdaf5e2a4a96f29055f91bb093ef6dff9d7fcbe8ce63caf49f68dcb19ed6",
        .init_remote_static = "991b50e82bf3898612988c801a52dff09495d67b0436d64335a25c06a93c5f0c",
        .resp_static = "23487dcb31d18a266a21720d8e75bf302a165ad012432d0f8a827bc4f8927ee9",
        .resp_ephemeral = "8557d06806f45c0de6c807b8de64e1c5f704a354fe6fdc3e600e56efe2e422df",
        .messages =
            {
                {"686e24e494cf80e16b178bdc2c6d23ae3b4f74841d20e9ec6499c82ab36ed31"
                 "1",
                 "6688b1f635839650e53b7372e42467a484e24a4a7b3ee804ba3ccdbd3289722"
                 "b3d4ea4ac959d149d5d2d9f63dee52f5b315aafb60010cbf783600eaaece59d"
                 "b81b91bb0b08f778851d4f2b7fe2eda4a1c2edb4dcd752e21e7baf30da3a29d"
                 "7176a29e388a29fa17affb7928c9d9059da54f45216fc0906769840f78dbe85"
                 "4420"},
                {"99f1e6285fbb6c0d778925d50a19350f69a03a9326f769d9f485704a1df52df"
                 "9",
                 "690c779ff86620fef6cd99b7867e465b6b8a3180232b795fcc39cdf5b890b46"
                 "7320cf6ada20b4ae876b4793458e0d2ca532858f6dc34cf7c2fa3b042b0466d"
                 "3febf986532328f06459e2c006960e37af"},
                {"8761e2a7e3e965ecf3f89049668dcc1c5daf525b68a61ce1403e5abe5e7ed66"
                 "2",
                 "188e63c86f9dd0ef8ac5a13c91f188c8a4826df3c33b0e9e55e43f354c49646"
                 "a2795d637018968790c7ea646eb3bf68a"},
                {"bcba33cd41e5b5b21d5421b0908f45060b435eb8128a0d01171eb091bf33988"
                 "5",
                 "4f6b69e55ed6cd2ed21a686bac3c3e6659783ce27ec77b313141904c9172452"
                 "6b365fe75d7ae38fd31292af561867a4a"},
            },
    },
    {
        .source = "rweather/noise-c tests/vector/noise-c-basic.txt",
        .protocol = "Noise_IK_25519_ChaChaPoly_BLAKE2b",
        .init_prologue = "50726f6c6f677565313233",
        .resp_prologue = "50726f6c6f677565313233",
        .init_static = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
        .init_ephemeral = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
        .init_remote_static = "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
        .resp_static = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
        .resp_ephemeral = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
        .handshake_hash = "00e51d2aac81a9b8ebe441d6af3e1c8efc0f030cc608332edcb42588ff6a0ce2"
                          "6415ddc106e95277a5e6d54132f1e5245976b89caf96d262f1fe5a7f0c55c078",
        .messages =
            {
                {"4c756477696720766f6e204d69736573",
                 "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c794"
                 "4ba83a447b38c83e327ad936929812f624884847b7831e95e197b2f797088ef"
                 "dd232fe541af156ec6d0657602902a8c3ee64e470f4b6fcd9298ce0b56fe20f"
                 "86e60d9d933ec6e103ffb09e6001d6abb64"},
                {"4d757272617920526f746862617264",
                 "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884"
                 "39f069b267a06b3de3ecb1043bcb09807c6cd101f3826192a65f11ef3fe4317"},
                {"462e20412e20486179656b",
                 "cd54383060e7a28434cca27fb1cc524cfbabeb18181589df219d07"},
                {"4361726c204d656e676572",
                 "a856d3bf0246bfc476c655009cd1ed677b8dcc5b349ae8ef2a05f2"},
                {"4a65616e2d426170746973746520536179",
                 "49063084b2c51f098337cb8a13739ac848f907e67cfb2cc8a8b60586467aa02"
                 "fc7"},
                {"457567656e2042f6686d20766f6e2042617765726b",
                 "8b9709d23b47e4639df7678d7a21741eba4ef1e9c60383001c7435549c20f9d"
                 "56f30e935d3"},
            },
    },
    {
        .source = "rweather/noise-c tests/vector/noise-c-basic.txt",
        .protocol = "Noise_IK_25519_AESGCM_BLAKE2b",
        .init_prologue = "50726f6c6f677565313233",
        .resp_prologue = "50726f6c6f677565313233",
        .init_static = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
        .init_ephemeral = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
        .init_remote_static = "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
        .resp_static = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
        .resp_ephemeral = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
        .handshake_hash = "de93c698690f0e82ad2142733828b73ed2f5b0526cee7fda6f2544510c5ecf30"
                          "e2a2d8af3bb156de01de63deab64fd8723d0f14f63a570971b8864f961174eda",
        .messages =
            {
                {"4c756477696720766f6e204d69736573",
                 "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c794"
                 "410ade309f400533fbc81fb0e8b55288091ab5fe35d8c3d5033dbec503bcfa0"
                 "62a19e1190e00335b5db72fcf7f92729794889db4631c5f5d18d37edd34e113"
                 "a663d3030e5f0d30eefb9ff7d5382614dfe"},
                {"4d757272617920526f746862617264",
                 "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884"
                 "361923da61bbe936aa0e52e679c8a036e0f7d9cf57ba5f9c4b49a8b0175d9d6"},
                {"462e20412e20486179656b",
                 "76c378c26ad0616d8b5d12fb30069a3d2006f09c736d133b1b00e2"},
                {"4361726c204d656e676572",
                 "44256a9fc73f965bb05905cea2c7f42446fdaeaad4005e3bfd5363"},
                {"4a65616e2d426170746973746520536179",
                 "a760601455d420b671156c561657a8fdc110686208d9ef8f524ad3841f5718f"
                 "fa9"},
                {"457567656e2042f6686d20766f6e2042617765726b",
                 "a718f0df83c0a5e0715f7212aff997d406a65f06660102a7f522d9d5dd8bbd7"
                 "11789825bd4"},
            },
    },
};

#endif
