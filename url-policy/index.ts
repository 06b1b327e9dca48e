export { checkedConnector, type Resolve, UnreachableAddress } from './connector';
export { hostOf, isPublic, mayConnect, type PolicySettings, readAllowed, urlFault, type UrlPolicy } from './policy';
